"""Does reasoning reach what a model knows in other task formats? (methods 3.7)"""
