"""What the queries repeat: ``t`` is usually the left side and ``p`` the right."""

IP = "array_inner_product(t.embedding, p.embedding)"
BY = f"EXACT NEAREST 3 BY SIMILARITY {IP}"
PAIRS = f"FROM task t JOIN docs p {BY}"
VECTOR = "[1, 0, 2, 0, 0, -1]::FLOAT[6]"
