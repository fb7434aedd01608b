"""Which names tell that their value is a secret."""

import functools
import itertools
import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
#: A word that holds one of these tells, whatever stands around it.
_ALWAYS = re.compile(
    r"passw|passphrase|passcode|secret|credential|(api|access|private|signing)key|(auth|access|api|refresh)token"
)
#: These words tell unless one of `_ABOUT` follows: a token's size is no token.
_USUALLY = frozenset(
    {"auth", "authorization", "bearer", "cookie", "creds", "jwt", "otp", "pw", "pwd", "signature", "token"}
)
#: These tell beside one of `_WHOSE`: an API key, but not a sort key.
_BESIDE = frozenset({"key", "keys", "pass", "pat", "pats", "sig", "tokens"})
_WHOSE = _words(
    "access account admin anthropic api app auth aws azure client consumer cookie database db deploy email "
    "encryption ftp gcp gh git github gitlab google gpg hf huggingface ldap license login mail master mongo mysql "
    "openai personal pgp postgres private prod proxy redis root server service session shared signing slack smtp "
    "ssh ssl storage stripe subscription tls user vault vpn wandb webhook"
)
_ABOUT = _words(
    "base budget count dim dims dir dropout dropped embed embedding enabled encoder endpoint error exception "
    "expires file free host index layout len length level limit mask max method min mode name num number path "
    "policy port position rate required scheme size sock space timeout ttl type uri url user username vocab "
    "warning written"
)
#: Whole keys that tell: the addresses of services hold the tokens that they take.
_KEYS = re.compile(r"(?:^|\.)notify\.urls\b")
_MEASURES = frozenset({"max", "min", "n", "num"})


@functools.lru_cache(maxsize=8192)
def is_telling(name: str) -> bool:
    """Whether a key, an option or an environment variable of that name holds a secret, or lies inside of one.

    Names are read word by word, split at ``_``, ``-``, ``.``, spaces and capitals.
    """
    if _KEYS.search(name):
        return True
    parts = [[word.lower() for word in _WORD.findall(part)] for part in re.split(r"[./\[\]]", name)]
    # `api.key` is an `api_key`.
    parts += [[*outer, *inner] for outer, inner in itertools.pairwise(parts) if set(inner) <= _BESIDE]
    whose = _BESIDE if name.isupper() else frozenset[str]()
    return any(_tells(words, whose) for words in parts)


def is_telling_parameter(name: str) -> bool:
    """The same for a parameter of an address, where shorter names are in use (``sig``, ``key``)."""
    words = {word.lower() for word in _WORD.findall(name)}
    return is_telling(name) or bool(words & _BESIDE) or words == {"google", "access", "id"}


def _tells(words: list[str], usually: frozenset[str]) -> bool:
    """Whether the words of one name tell; those in `usually` then tell beside any other word."""
    for index, word in enumerate(words):
        if _ALWAYS.search(word):
            return True
        others = {*words[:index], *words[index + 1 :]}
        suspect = word in _USUALLY or (word in _BESIDE and others & (_WHOSE if not usually else others))
        if suspect and not _ABOUT & set(words[index + 1 :]) and not _MEASURES & set(words[:index]):
            return True
    return False
