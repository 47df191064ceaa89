"""What the tests share: an encoder whose cosines can be worked out on paper, and a server of S3."""

import functools
import hashlib
import os
import zlib

# Before numpy is there: processes that test side by side share the cores; with a thread of each for each core all wait.
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _WORKERS)))

import numpy as np  # noqa: E402
import pytest  # noqa: E402

from curator.vectors import Encoded  # noqa: E402


class ToyEncoder:
    """A bag of words: each word is a fixed direction of ±1, a text their sum. Texts that share words are similar."""

    key = "toy"
    dimension = 64
    made_from = revision = ""
    max_words = 50

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, texts, *, query=False, progress=None):
        self.seen += texts
        words = [[word.strip(".,!?") for word in text.lower().split()] for text in texts]
        sums = np.stack([np.sum([self.direction(word) for word in of[: self.max_words]], axis=0) for of in words])
        vectors = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        lengths = np.array([len(of) for of in words], np.int32)
        if progress:
            progress(len(texts), int(lengths.sum()))
        return Encoded(vectors.astype(np.float32), lengths, lengths > self.max_words)

    @staticmethod
    @functools.cache
    def direction(word):
        bits = np.unpackbits(np.frombuffer(hashlib.blake2b(word.encode(), digest_size=8).digest(), np.uint8))
        return bits.astype(np.float32) * 2 - 1


@pytest.fixture
def toy():
    return ToyEncoder()


@pytest.fixture(scope="session")
def s3_server():
    """A server of S3 on this machine, where AWS_ENDPOINT_URL points to."""
    pytest.importorskip("s3fs", reason="S3 is an extra: pip install 'curator[s3]'")
    moto = pytest.importorskip("moto.server", reason="moto is for development: pip install 'curator[dev]'")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "nobody")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
        yield
    server.stop()


@pytest.fixture
def bucket(s3_server, request):
    """A bucket of one's own."""
    import boto3

    made = boto3.resource("s3").Bucket(f"b{zlib.crc32(request.node.nodeid.encode())}")
    made.create()
    return made


@pytest.fixture
def url(bucket):
    return f"s3://{bucket.name}/some/where"
