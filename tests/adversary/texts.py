"""Texts as a hostile tenant writes them: by the grammar of what the field is for, and beside it."""

from hypothesis import strategies as st

Texts = st.SearchStrategy[str]

odd: Texts = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "", " ", "\x00", "\ufeff", "\u2028", "\u202eabc", "\ud83d\ude00" * 9, "e\u0301" * 50, "\U0001f9ea" * 30,
            "${jndi:ldap://127.0.0.1/a}", "{{ .Values }}", "$(PATH) $$(PATH) `id`", "%s%n%d {0} {probe}", "../../etc",
            "\x1b[31mred\x1b[0m", "a" * 63, "a" * 64, "\\", '"', "'", "null", "true", "-", "---\n- a", "a: b\nc: d",
        ]
    ),
)  # fmt: skip
"""Of any kind."""


_SELECTORS = [
    "x", 'queue_length{a="b"}', '{__name__=~".+"}', '{__name__=~"(a*)*b"}', "x{a!~''}", "x[5m]", "x[1d:1s]",
    "x offset 1e400", "x offset 9999999y", "x offset -1d", "x @ end()", "x @ 1e18", 'namespace{namespace="other"}',
    '{"\uff58"="1"}', 'x{a="\\ud800"}', "1e400", "-1e-400", "0x1p-9999", "NaN", "Inf", '"text"', "info(x)",
    "sum_over_time(x[9999999y])", "vector(time())", 'label_replace(x, "namespace", "o", "", "")', "on", "x{,}", "",
]  # fmt: skip
_AROUND = [
    "({})", "-{}", "+{}", "sum({})", "sum by (a) ({})", "rate({}[5m])", "max_over_time({}[1h:15s])", "topk(1e9, {})",
    "{} + {}", "{} and on (a) {}", "{} / ignoring (a) group_left (b) {}", "{} offset 5m", "{} @ start()", "{}[1h:]",
    "absent({})", "{}}}", "({}", "{} # a comment", "quantile(NaN, {})", "histogram_quantile(0.9, {})", "{} == bool {}",
]  # fmt: skip


def _around(inner: Texts) -> Texts:
    return st.builds(lambda form, text: form.replace("{}", text), st.sampled_from(_AROUND), inner)


def _chain(piece: str, end: str, count: int, length: int) -> str:
    return (piece * count + end)[:length]


promql: Texts = st.one_of(
    st.recursive(st.sampled_from(_SELECTORS), _around, max_leaves=6),
    st.builds(
        _chain,
        st.sampled_from(["x+", "(", "-", "sum(", "x or ", "{a='", "x[", "1^", "[1d:15s]", "\uff58", "\\"]),
        st.sampled_from(["x", "x" + ")" * 400, "", "x'}"]),
        st.integers(1, 1024),
        st.sampled_from([1023, 1024, 1025]),
    ),
    odd,
)


_numbers = st.integers(0, 70).map(str) | st.integers(0, 9).map("0{}".format)
_terms = st.one_of(
    st.just("*"),
    _numbers,
    st.builds("{}-{}".format, _numbers, _numbers),
    st.builds("{}/{}".format, st.just("*") | _numbers, _numbers),
    st.sampled_from(["MON", "fri-mon", "SUN-SAT", "sat-sun", "JAN", "DEC-FEB", "L", "?", "1#2", "*/0", "1-0/2", ""]),
)
_fields = st.lists(_terms, min_size=1, max_size=3).map(",".join)
cron: Texts = st.one_of(
    st.lists(_fields, min_size=5, max_size=5).map(" ".join),
    st.lists(_fields, min_size=1, max_size=7).map("  ".join),
    st.sampled_from(
        [
            "30 2 * * *", "0 0 29 2 *", "0 0 31 2 *", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "59 23 31 12 *", "* * * * *",
            "0 0 29 2 1", "00 03 * * *", "0 0 * * 0-7", "0-59/1 * * * *", "*/99 * * * *", "0 0 1-31/31 * *",
            "@daily", "@DAILY", "@reboot", "@every 1s", "@yearly ", "0 3 * * *\n", "0,0,0,0,0 0 * * *",
        ]
    ),
    odd,
)  # fmt: skip
time_zones: Texts = st.one_of(
    st.sampled_from(
        [
            "UTC", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "America/Nuuk", "Factory",
            "Etc/GMT+12", "Etc/GMT-14", "Antarctica/Troll", "localtime", "posixrules", "leapseconds", "Europe",
            "America/Argentina", "UTC0", "A/B/C", "europe/berlin", "right/UTC", "../UTC", "/etc/localtime", "EST5EDT",
        ]
    ),
    odd,
)  # fmt: skip

quantities: st.SearchStrategy[str | int | float] = st.one_of(
    st.sampled_from(
        [
            "1e-400", "1e999", "0x10", "\uff11", "\u0663", "1Ki1", "1E", "1e3", "1e", ".5", "5.", "+1Gi", "-0", "- 1",
            "0.0000000001", "1" * 20, "9223372036854775808", "1e18Ki", "1 Gi", "1Mi\n", "NaN", "inf", "1_000", "1m",
            "256", "255999m", "256.0000000001", "3.9999999999", "32Mi", "33554431", "4Ti", "4398046511105", "512m",
            "1e09", "1E+2", "0", "1k", "1M", "1000001", "1G", "\u00bd",
        ]
    ),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.builds("{}{}".format, st.decimals(0, 5000, places=3), st.sampled_from(["", "m", "Mi", "Gi", "k", "e1", "n"])),
)  # fmt: skip

label_keys: Texts = st.one_of(
    st.sampled_from(
        [
            "team", "a/b", "example.com/team", "hca-operator.io/api", "hca-operator.io/replaced", "pod-template-hash",
            "app.kubernetes.io/managed-by", "kopf.zalando.org/last-handled-configuration", "kopf.dev/marker", "on", "y",
            "a" * 63, "a" * 64, "a." * 126 + "b/c", "A_b.c", "-a", "a-", "a//b", "/", "~1", "1e3",
        ]
    ),
    odd,
)  # fmt: skip
label_values: Texts = st.sampled_from(["", "a", "1", "on", "null", "a" * 63, "a" * 64, "0x1", "1e3", "-", "a b"]) | odd
times: Texts = st.one_of(
    st.sampled_from(
        [
            "2026-03-01T03:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z",
            "9999-12-31T23:59:59-23:59", "2026-02-30T00:00:00Z", "2026-03-01t03:00:00z", "1772334000", "now",
            "2016-12-31T23:59:60Z", "2026-03-01T24:00:00Z", "0800-01-01T00:00:00.999999999Z",
        ]
    ),
    odd,
)  # fmt: skip
durations: Texts = st.one_of(
    st.builds("{}{}".format, st.integers(0, 100_000), st.sampled_from(["s", "m", "h", "ms", "d", "", "S"])),
    st.sampled_from(["1h1m1s", "0s", "00001s", "99999h99999h99999h", "1h 1m", "1.5h", "-1s", "\uff11s", "1s\n"]),
)

raw_yaml = st.sampled_from(
    [
        "on", "off", "yes", "No", "~", "null", "0o17", "017", "0x1F", "1e3", "1_000", "12:30:45", "2001-01-01", ".inf",
        ".nan", "=", "<<", "!!binary aGVsbG8=", "!!str 5", "!!int '7'", "!!float 3", "&a [a]", "{a: 1, a: 2}", "[[]]",
        "'1'", "\"\\x41\"", "+1", "1.0", "-0", "!!timestamp 2001-01-01", "- a", "? a", "|", "*a",
    ]
)  # fmt: skip
"""Scalars that YAML reads as something else than they look like, or not at all."""
