"""What must not be so in production: pure rules over the settings of one process.

``overview doctor --deploy`` and Django's ``check --deploy`` both ask them. A server on this machine's
own loopback address may do without password and TLS; anywhere else neither is forgiven.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from lms_integration.hosts import is_loopback

#: As Django's own check of the secret key.
SECRET_KEY_MIN_LENGTH = 50
#: Of HS256, by its own standard (RFC 7518, section 3.2).
JWT_SECRET_MIN_BYTES = 32
API_KEY_MIN_BYTES = 20
#: Characters that a random text of this length has at least.
_MIN_DISTINCT = 5
#: Open edX's own default.
_WELL_KNOWN_KEYS = frozenset({"put_your_api_key_here"})
_OTHERS_MAY_READ, _GROUP_MAY_WRITE = 0o007, 0o020
#: Passwords that come with a server, an installer or an example.
_WELL_KNOWN_PASSWORDS = frozenset(
    {
        *("guest", "celery", "password", "secret", "admin", "root", "changeme", "test"),
        *("overview", "edxapp", "edxapp001", "mysql", "redis", "rabbitmq", "mongodb"),
    }
)
_RUNS_CODE = frozenset({"pickle", "yaml", "application/x-python-serialize", "application/x-yaml"})
_DEFAULT_HOST = "localhost"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerAccess:
    """How one process reaches one server."""

    what: str  #: in words, such as "the broker"
    setting: str  #: where it is configured
    hosts: tuple[str, ...]  #: names or addresses; none for a socket of this machine
    user: str
    password: str
    needs_user: bool = True  #: Redis has passwords without users
    uses_client_certificate: bool = False  #: instead of a password
    is_encrypted: bool = False
    is_verified: bool = False  #: the server's certificate and name are checked
    tls_example: str  #: how to ask for TLS

    @property
    def is_local(self) -> bool:
        """Whether it stays on this machine."""
        return all(is_loopback(host) for host in self.hosts)


@dataclass(frozen=True, kw_only=True, slots=True)
class PrivateFile:
    """A file with passwords or keys, and who may touch it."""

    path: str
    mode: int  #: permission bits


@dataclass(frozen=True, kw_only=True, slots=True)
class DeploySettings:
    """All that the rules look at, of one process."""

    serves_web: bool  #: whether it answers requests, so that key and hosts matter
    debug: bool
    secret_key: str
    unset_secret_keys: frozenset[str] = frozenset({""})  #: what stands for none
    allowed_hosts: tuple[str, ...]
    servers: tuple[ServerAccess, ...]
    serializers: tuple[str, ...] = ("json",)  #: written or accepted, of messages
    private_files: tuple[PrivateFile, ...] = ()
    has_secure_cookies: bool = True  #: of sessions and forms
    #: The secret that verifies JSON Web Tokens; '' for none, and for a public key.
    jwt_secret: str = ""
    api_key: str = ""  #: what other servers send; '' refuses all


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that must be changed before production."""

    id: str  #: of Django's system checks
    what: str
    todo: str


def find_problems(settings: DeploySettings) -> list[Problem]:
    """Return everything that is wrong, in the order of the rules."""
    return [problem for rule in _RULES for problem in rule(settings)]


def _no_debug(settings: DeploySettings) -> Iterator[Problem]:
    if settings.debug:
        yield Problem(
            id="overview.E101",
            what="DEBUG is on: errors show settings and source to whoever meets them",
            todo="Unset OVERVIEW_DEBUG (or set DEBUG = False).",
        )


def _secret_key(settings: DeploySettings) -> Iterator[Problem]:
    key = settings.secret_key
    if not settings.serves_web:
        return
    if key in settings.unset_secret_keys:
        what = "SECRET_KEY is not set: sessions could be forged"
    elif len(key) < SECRET_KEY_MIN_LENGTH or len(set(key)) < _MIN_DISTINCT:
        what = f"SECRET_KEY is too easy to guess ({len(key)} characters)"
    else:
        return
    yield Problem(
        id="overview.E102",
        what=what,
        todo="Set OVERVIEW_SECRET_KEY, for example to what this prints: "
        "python -c 'import secrets; print(secrets.token_urlsafe(50))'",
    )


def _allowed_hosts(settings: DeploySettings) -> Iterator[Problem]:
    if settings.serves_web and "*" in settings.allowed_hosts:
        yield Problem(
            id="overview.E103",
            what="ALLOWED_HOSTS has '*': links in answers can be turned to anybody's host",
            todo="Name the hosts in OVERVIEW_ALLOWED_HOSTS, separated by commas.",
        )


def _cookies(settings: DeploySettings) -> Iterator[Problem]:
    is_local = all(is_loopback(host) for host in settings.allowed_hosts)
    if settings.serves_web and not is_local and not settings.has_secure_cookies:
        yield Problem(
            id="overview.E120",
            what="cookies are sent without HTTPS too: whoever listens can take over a session",
            todo="Serve HTTPS and unset OVERVIEW_SECURE_COOKIES (or set SESSION_COOKIE_SECURE and "
            "CSRF_COOKIE_SECURE).",
        )


def _jwt_secret(settings: DeploySettings) -> Iterator[Problem]:
    length = len(settings.jwt_secret.encode())
    if settings.serves_web and length > 0 and _is_weak(settings.jwt_secret, JWT_SECRET_MIN_BYTES):
        yield Problem(
            id="overview.E121",
            what=f"the secret of JSON Web Tokens is too easy to guess ({length} bytes): whoever has "
            "one token can find it, and then be anybody",
            todo="Put a public key (PEM, RS512) into OVERVIEW_JWT_KEY, or a random secret of at least "
            f"{JWT_SECRET_MIN_BYTES} bytes.",
        )


def _api_key(settings: DeploySettings) -> Iterator[Problem]:
    key = settings.api_key
    if settings.serves_web and key and _is_weak(key, API_KEY_MIN_BYTES):
        yield Problem(
            id="overview.E122",
            what=f"the API key is too easy to guess ({len(key.encode())} bytes): it opens everybody's "
            "enrolments",
            todo="Set OVERVIEW_API_KEY (EDX_API_KEY) to what this prints: "
            "python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )


def _is_weak(secret: str, min_bytes: int) -> bool:
    is_short = len(secret.encode()) < min_bytes
    return is_short or len(set(secret)) < _MIN_DISTINCT or secret.lower() in _WELL_KNOWN_KEYS


def _credentials(settings: DeploySettings) -> Iterator[Problem]:
    for server in settings.servers:
        if server.is_local or server.uses_client_certificate:
            continue
        fault = _credential_fault(server)
        if fault:
            yield Problem(
                id="overview.E104",
                what=f"{server.what} at {_shown(server)} {fault}",
                todo=f"Make an account of its own with a random password, and put it into "
                f"{server.setting}.",
            )


def _credential_fault(server: ServerAccess) -> str:
    if server.needs_user and not server.user:
        return "is used without an account"
    if not server.password:
        return "is used without a password"
    if server.password in {server.user, *_WELL_KNOWN_PASSWORDS}:
        return f"is used with a password that everybody knows (user {server.user!r})"
    if server.user in ("root", "guest"):
        return f"is used as {server.user!r}"
    return ""


def _encryption(settings: DeploySettings) -> Iterator[Problem]:
    for server in settings.servers:
        if server.is_local:
            continue
        if not server.is_encrypted:
            yield Problem(
                id="overview.E105",
                what=f"{server.what} at {_shown(server)} is reached without TLS: passwords and "
                "data can be read and changed on the way",
                todo=f"Use TLS in {server.setting}: {server.tls_example}",
            )
        elif not server.is_verified:
            yield Problem(
                id="overview.E106",
                what=f"the certificate of {server.what} at {_shown(server)} is not verified: "
                "anybody on the way can pose as the server",
                todo=f"Verify it against your authority in {server.setting}: {server.tls_example}",
            )


def _serializers(settings: DeploySettings) -> Iterator[Problem]:
    dangerous = sorted(_RUNS_CODE & {name.lower() for name in settings.serializers})
    if dangerous:
        yield Problem(
            id="overview.E107",
            what=f"messages may be {' or '.join(dangerous)}: reading one can run what its sender likes",
            todo="Set accept_content = ['json'] and task_serializer = 'json' in celeryconfig.py.",
        )


def _private_files(settings: DeploySettings) -> Iterator[Problem]:
    for file in settings.private_files:
        if file.mode & (_OTHERS_MAY_READ | _GROUP_MAY_WRITE):
            yield Problem(
                id="overview.E108",
                what=f"{file.path} holds secrets and has the permissions {file.mode & 0o777:o}",
                todo=f"chmod 640 {file.path} (or 600), and let it belong to the process's user.",
            )


_RULES: tuple[Callable[[DeploySettings], Iterator[Problem]], ...] = (
    _no_debug,
    _secret_key,
    _allowed_hosts,
    _cookies,
    _jwt_secret,
    _api_key,
    _credentials,
    _encryption,
    _serializers,
    _private_files,
)


def broker_access(
    url: str, *, what: str = "the broker", setting: str = "OVERVIEW_BROKER_URL"
) -> ServerAccess:
    """Return how an ``amqp(s)://`` or ``redis(s)://`` URL reaches the broker, or another such server."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    is_redis = parts.scheme.startswith("redis")
    user, password, hosts = _authority(parts.netloc)
    if not is_redis and not user:  # kombu's own default
        user = password = "guest"  # noqa: S105 - no secret, that is the point
    return ServerAccess(
        what=what,
        setting=setting,
        hosts=hosts,
        user=user,
        password=password,
        needs_user=not is_redis,
        is_encrypted=parts.scheme in ("amqps", "rediss"),
        is_verified=options.get("ssl_cert_reqs", "required").lower() not in ("none", "cert_none"),
        tls_example=f"{'rediss' if is_redis else 'amqps'}://…?ssl_ca_certs=/path/to/ca.pem",
    )


def mongodb_access(url: str, *, setting: str = "OVERVIEW_MONGODB_URL") -> ServerAccess:
    """Return how a ``mongodb://`` or ``mongodb+srv://`` URL reaches the modulestore."""
    parts = urlsplit(url)
    options = {name.lower(): value.lower() for name, value in parse_qsl(parts.query)}
    user, password, hosts = _authority(parts.netloc)
    asked = options.get("tls", options.get("ssl", ""))
    careless = ("tlsinsecure", "tlsallowinvalidcertificates", "tlsallowinvalidhostnames")
    return ServerAccess(
        what="the modulestore",
        setting=setting,
        hosts=hosts,
        user=user,
        password=password,
        uses_client_certificate=options.get("authmechanism") == "mongodb-x509",
        is_encrypted=asked == "true" or (parts.scheme == "mongodb+srv" and asked != "false"),
        is_verified=all(options.get(name) != "true" for name in careless),
        tls_example="mongodb://…&tls=true&tlsCAFile=/path/to/ca.pem",
    )


def _authority(netloc: str) -> tuple[str, str, tuple[str, ...]]:
    """Return user, password and hosts of the part of a URL between ``//`` and the path."""
    credentials, _, addresses = netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    hosts = tuple(_host(address) for address in addresses.split(","))
    return unquote(user), unquote(password), hosts


def _host(address: str) -> str:
    if address.startswith("["):  # IPv6
        return address[1:].partition("]")[0]
    return unquote(address.partition(":")[0]) or _DEFAULT_HOST


def _shown(server: ServerAccess) -> str:
    return ", ".join(server.hosts)
