"""Any method, path and headers: both variants answer alike."""

from __future__ import annotations

import string

from hypothesis import example, given
from hypothesis import strategies as st

from tests.differential.conftest import Both
from tests.differential.outcome import bounded

METHODS = (
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"),
    *("PROPFIND", "REPORT", "MKCOL", "LOCK", "SEARCH", "PURGE", "LINK", "QUERY", "SUBSCRIBE", "FOO", "get", "Post"),
)
ROUTES = ("/score", "/score/batch", "/model", "/livez", "/healthz", "/readyz")
SUFFIXES = (
    "",
    "",
    "",
    "",
    "/",
    "?",
    "?x=1&x=%ff",
    "#a",
    ";v=1",
    "%2F",
    "%20",
    "%00",
    "%zz",
    "//",
    "/..",
    "/x",
    ".json",
)
PREFIXES = ("", "", "", "", "/", "/.", "//x", "http://other", "%2f")
SEGMENTS = st.text(string.ascii_letters + string.digits + "-._~%/:@!$&'()*+,;=?", max_size=30)
TARGETS = st.tuples(st.sampled_from(PREFIXES), st.sampled_from(ROUTES), st.sampled_from(SUFFIXES)).map(
    "".join
) | SEGMENTS.map(lambda text: "/x" + text)

CONTENT_TYPES = (
    "application/json",
    "application/json",
    "application/json; charset=utf-8",
    "APPLICATION/JSON ;x",
    "application/json,text/plain",
    "application/vnd.bentoml+pickle",
    "application/vnd.bentoml.stream",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "text/plain",
    "image/png",
    "application/",
    ";",
    "",
)
VALUE = st.text(
    string.printable.replace("\n", "").replace("\r", "").replace("\x0b", "").replace("\x0c", ""), max_size=40
)
HEADERS = st.lists(
    st.one_of(
        st.sampled_from(CONTENT_TYPES).map(lambda value: ("content-type", value)),
        st.sampled_from(["gzip", "identity", "br", "", "identity, identity", "IDENTITY"]).map(
            lambda value: ("content-encoding", value)
        ),
        st.tuples(st.sampled_from(["x-request-id", "traceparent", "accept", "authorization", "cookie"]), VALUE),
        st.sampled_from(["r" * 128, "r" * 129, "a.b-c_D"]).map(lambda value: ("x-request-id", value)),
        st.sampled_from(
            [
                ("accept", "text/html"),
                ("accept-encoding", "gzip"),
                ("bentoml-payload-kind", "pickle"),
                ("payload-container", "NdarrayContainer"),
                ("payload-meta", '{"format":"pickle5"}'),
                ("batch-size", "3"),
                ("args-number", "2"),
                ("x-bentoml-service", "other"),
                ("if-none-match", "*"),
                ("range", "bytes=0-1"),
                ("origin", "https://example.org"),
                ("access-control-request-method", "POST"),
                ("x-forwarded-for", "1.2.3.4"),
                ("x-forwarded-proto", "https"),
                ("x-http-method-override", "PUT"),
                ("expect", "100-continue"),
                ("te", "trailers"),
                ("host", ""),
                ("upgrade-insecure-requests", "1"),
            ]
        ),
    ),
    max_size=5,
)


@bounded(400)
@given(
    method=st.sampled_from(METHODS) | st.sampled_from(METHODS[:4]),
    target=TARGETS,
    headers=HEADERS,
    body=st.none() | st.sampled_from([b"", b"{}", b"{", b"x" * 2000]),
)
@example("POST", "/score", [("content-type", "application/vnd.bentoml+pickle")], b"\x80\x04N.")
@example("OPTIONS", "/score", [("origin", "https://example.org"), ("access-control-request-method", "POST")], None)
@example("POST", "http://other/score", [("content-type", "application/json")], b"{}")
def test_any_request_line_and_headers(
    both: Both, method: str, target: str, headers: list[tuple[str, str]], body: bytes | None
) -> None:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "connection: close"]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    both.agree(head + (body or b""), methods=(method,))
