"""Addresses in every disguise: none of them leads inside."""

import ipaddress
from itertools import product

import pytest

from interlock.core.egress import Allow, EgressPolicy
from interlock.net.dial import checked_address
from interlock.net.egress import judge, judge_host, names
from interlock.net.walls import Place, Refused, place_of, why_not

INSIDE = (
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.100.100.200", "100.64.0.1", "0.0.0.0", "168.63.129.16",
)  # fmt: skip


def disguises(text: str) -> list[str]:
    """The ways in which one IPv4 address has been written to get past a filter."""
    a, b, c, d = (int(part) for part in text.split("."))
    whole = (a << 24) | (b << 16) | (c << 8) | d
    wide = "".join(chr(0xFF10 + int(ch)) if ch.isdigit() else ch for ch in text)
    circled = text.replace("1", "①").replace("2", "②").replace("0", "⓪")
    return [
        text, str(whole), hex(whole), oct(whole).replace("0o", "0"), f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"{a}.{(b << 16) | (c << 8) | d}", f"{a}.{b}.{(c << 8) | d}", f"{a:#x}.{b}.{c}.{d}", f"00{a}.{b}.{c}.{d}",
        f"[::ffff:{text}]", f"[::{text}]", f"[64:ff9b::{text}]", f"[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::]", f"[::ffff:0:{text}]",
        f"[fe80::{a:x}%25eth0]", wide, circled, text.replace(".", "。"), f"{text}.", text.replace(".", "%2e"), f"{text}%00.example.com",
        f"%{ord(text[0]):02x}{text[1:]}", f"{text}#.example.com", f"{text}\\.example.com",
    ]  # fmt: skip


SHAPES = ("http://{}/", "https://{}/x", "http://{}:80/", "http://example.com@{}/", "http://{}:80@example.com:80/", "//{}/", "http:{}", "HTTP://{}/", "http:///{}/", "http://{}?x=example.com")  # fmt: skip
NAMES = (
    "http://localhost/", "http://LOCALHOST/", "http://localhost./", "http://intranet/", "http://metadata/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/",
    "dict://example.com:11211/", "jar:http://example.com!/", "data:text/html,x", "javascript:alert(1)", "http://", "http://.", "http://..", "http://example.com:0/", "http://example.com:/",
    "http://example.com:99999/", "http://ex ample.com/", "http://example.com\\@localhost/", "http://example.com\t/", "http://example.com\r\nHost: localhost/", "http://exämple.com/", "http://example。com/",
    "http://[::1]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:7f00:1]/", "http://[fd00:ec2::254]/", "http://[fc00::1]/", "http://[ff02::1]/", "http://[2001:db8::1]/", "http://[::1%25lo]/",
    "http://1.1.1.1.1/", "http://256.1.1.1/", "http://1/", "http://0/", "http://user:pass@example.com/", "http://@example.com/", "http://example.com:80:80/", "http://[example.com]/", "http://-a.example.com/",
    "http://exa_mple..com/", "http://example.123/", "http://example.0x7f/",
)  # fmt: skip

EVERYTHING = EgressPolicy(
    (Allow("example.com"), *(Allow(each) for each in INSIDE), Allow("*.com"), Allow("localhost"), Allow("::1"))
)


def reached(url: str) -> Place | None:
    """Where `url` would lead, for a policy that names even the inside; `None` when it is refused before a connection."""
    try:
        place = place_of(url)
    except Refused:
        return None
    literal = ipaddress.ip_address(place.host) if place.host[-1].isdigit() or ":" in place.host else None
    decision, entry = judge(EVERYTHING, "GET", place)
    if not decision.allowed or (literal is not None and entry is not None and why_not(literal, private=entry.private)):
        return None
    return place


@pytest.mark.requirement("TL-05", "TL-12")
def test_no_disguise_of_an_inside_address_is_ever_dialled():
    tried = [shape.format(text) for address, shape in product(INSIDE, SHAPES) for text in disguises(address)]
    passed = [(url, place) for url in (*tried, *NAMES) if (place := reached(url)) is not None]

    assert len(tried) + len(NAMES) > 2_000
    assert [(url, place) for url, place in passed if place.host != "example.com"] == []


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "http://example.com:80/a?b=c",
        "https://xn--bcher-kva.example.com/",
        "https://EXAMPLE.com./x",
        "https://a-b.example.com/%7Ex",
    ],
)
def test_plain_addresses_pass(url: str):
    assert reached(url) is not None


@pytest.mark.requirement("TL-05")
@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (["169.254.169.254"], "metadata"),
        (["93.184.216.34", "10.0.0.1"], "private"),
        (["93.184.216.34", "127.0.0.1"], "local"),
        (["::ffff:169.254.169.254"], "metadata"),
        (["::ffff:10.0.0.1"], "private"),
        (["64:ff9b::a00:1"], "another address"),
        (["2002:7f00:1::"], "another address"),
        (["2001:0:1::1"], "another address"),
        (["fd00:ec2::254"], "metadata"),
        (["fe80::1%eth0"], "local"),
        (["240.0.0.1"], "reserved"),
        (["255.255.255.255"], "reserved"),
        (["224.0.0.1"], "local"),
        ([], "no addresses"),
        (["93.184.216.34"] * 17, "17 addresses"),
        (["not an address"], "no address"),
    ],
)
async def test_a_name_is_refused_for_any_bad_address_among_its_answers(answers: list[str], why: str):
    async def resolve(host: str) -> list[str]:
        return answers

    with pytest.raises(Refused, match=why):
        await checked_address("example.com", resolve, private=False)


async def test_a_private_network_may_be_named_and_loopback_and_metadata_may_not():
    async def inside(host: str) -> list[str]:
        return [host.removesuffix(".test.example").replace("-", ".")]

    assert await checked_address("10-0-0-1.test.example", inside, private=True) == "10.0.0.1"
    for host in ("127-0-0-1", "169-254-169-254", "100-100-100-200", "0-0-0-0"):
        with pytest.raises(Refused):
            await checked_address(f"{host}.test.example", inside, private=True)


@pytest.mark.parametrize(
    ("pattern", "host", "fits"),
    [
        ("example.com", "example.com", True),
        ("example.com", "www.example.com", False),
        ("*.example.com", "www.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "notexample.com", False),
        ("*.example.com", "example.com.evil.org", False),
    ],
)
def test_wildcards_stop_at_labels(pattern: str, host: str, *, fits: bool):
    assert names(pattern, host) is fits


@pytest.mark.requirement("TL-05")
@pytest.mark.parametrize(
    ("method", "url", "allowed"),
    [
        ("GET", "https://api.example.com/v1/things", True),
        ("GET", "https://api.example.com/v1", True),
        ("GET", "https://api.example.com/v1?x=1", True),
        ("POST", "https://api.example.com/v1/things", False),
        ("GET", "https://api.example.com/v2/things", False),
        ("GET", "https://api.example.com/v10", False),
        ("GET", "https://api.example.com/v1/../admin", False),
        ("GET", "https://api.example.com/v1/%2e%2e/admin", False),
        ("GET", "https://api.example.com/v1/%252e%252e/admin", False),
        ("GET", "https://api.example.com/v1//admin", False),
        ("GET", "https://api.example.com/v1/..%5cadmin", False),
        ("GET", "https://api.example.com:8443/v1/x", False),
        ("GET", "https://other.example.com/v1/x", False),
    ],
)
def test_method_port_and_path_are_part_of_an_entry(method: str, url: str, *, allowed: bool):
    policy = EgressPolicy((Allow("api.example.com", methods=("GET",), paths=("/v1",)),))

    assert judge(policy, method, place_of(url))[0].allowed is allowed


def test_a_tunnel_is_looked_into_where_host_and_port_do_not_decide():
    policy = EgressPolicy((Allow("plain.example.com"), Allow("api.example.com", paths=("/v1",))))

    assert judge_host(policy, "plain.example.com", 443) == (True, False, "allowed by plain.example.com")
    assert judge_host(policy, "api.example.com", 443)[:2] == (True, True)
    assert judge_host(policy, "plain.example.com", 22)[0] is False
