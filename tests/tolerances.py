"""Every tolerance of the tests, each with its reason. Exact comparisons need none."""

# A document's logits in a packed row against the document alone: float32, other matrix shapes and
# hence another order of summation. Measured 3e-6 on logits up to 6; a leak changes them by 4.
PACKED_LOGITS = 1e-5

# How many rows a document may lie from its place in the stream: a row waits among the 8 open ones
# until it is the fullest. Measured 27 for documents of 3-20 tokens in rows of 32.
PACKED_DISPLACEMENT_ROWS = 32

# Peak memory of constructing a world of a million facts and reading some: names are pools of words,
# facts are computed (measured 1 MB). Holding the facts would take some 300 MB.
MILLION_FACTS_BYTES = 50 * 2**20

# Peak memory per further document while a stream is consumed. Times and owners of all documents are
# held as arrays (20 bytes; 45 while they are sorted); one held text would take some 250 bytes.
STREAM_BYTES_PER_DOCUMENT = 80

# Largest deviation of a class's share from its expectation, over thousands of draws, in standard
# errors. Seeds are fixed, so this decides once; 5 keeps honest generators inside.
STANDARD_ERRORS = 5.0

# Percentile bootstrap of 10,000 draws against the normal interval, in units of the interval's
# half-width: quantile noise is about 2 %, the skew of n=400 uniform values less.
BOOTSTRAP_RELATIVE = 0.08

# Plan times are stored as float32.
FLOAT32_TIME = 1e-6

# The same prompt scored in a batch and alone, or from a full and a cut unembedding: float32, other
# matrix shapes. Methods T-S2 allows this much; measured about 1e-7 on probabilities.
BATCHED_SCORE = 1e-5

# A float32 softmax over some thousand entries sums to one up to rounding (methods T-S4).
DISTRIBUTION_SUM = 1e-5

# Means of float64 sums that are zero on paper: a few units in the last place.
EXACT_IN_FLOAT64 = 1e-12

# A bfloat16 forward pass would change probabilities of order 1 by some 4e-3.
BF16_WOULD_SHOW = 1e-4

# Losses of a handful of float32 values computed in another order.
FLOAT32_LOSS = 1e-6

# a value looked up in print, given to six decimals
TEXTBOOK_DIGITS = 1e-5
