READERS: dict = {}
