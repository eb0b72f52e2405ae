"""Functions that a query may call, by dialect: those that compute from their arguments alone, and make nothing much larger than those.

Above: check. Left out on purpose: everything that reads files, settings, catalogs, other databases or the clock of a lock, that writes, sleeps or
runs code, that makes rows or long text from nothing (`generate_series`, `repeat`, `lpad`, `zeroblob`, `printf`), and everything not known here.
Sources: sqlite.org/lang_corefunc.html, PostgreSQL 15 manual chapter 9, MySQL 8.4 manual chapter 14.
"""

from __future__ import annotations

from collections.abc import Mapping


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


PLAIN = _words(
    "abs avg ceil ceiling coalesce count cume_dist dense_rank exp first_value floor lag last_value lead length ln lower ltrim max min mod ",
    "nth_value ntile nullif percent_rank power pow rank replace round row_number rtrim sign sqrt substr substring sum trim upper",
)

BY_DIALECT: Mapping[str, frozenset[str]] = {
    "sqlite": PLAIN
    | _words(
        "date datetime glob group_concat ifnull iif instr json_extract julianday like strftime time total typeof unicode unixepoch",
    ),
    "postgres": PLAIN
    | _words(
        "age array_agg bool_and bool_or btrim char_length concat concat_ws corr covar_pop date_part date_trunc every extract greatest initcap ",
        "json_agg json_build_object jsonb_agg least left make_date mode now percentile_cont percentile_disc position regr_slope right ",
        "split_part starts_with stddev stddev_pop stddev_samp string_agg strpos to_char to_date trunc var_pop var_samp variance",
    ),
    "mysql": PLAIN
    | _words(
        "char_length concat concat_ws curdate date date_format datediff day dayofweek extract greatest group_concat hour if ifnull instr least ",
        "left locate minute month now quarter right second stddev timestampdiff truncate variance week year",
    ),
}

GROWING = _words(
    "array_agg concat concat_ws group_concat json_agg json_build_object jsonb_agg replace string_agg",
)
"""They may return more than they were given; counted together with `||`."""

NOT_FUNCTIONS = _words(
    "all and any as between by case cast cube distinct else except exists extract filter from group having in intersect interval is join lateral ",
    "like limit not on or over partition rollup select set sets some then union using values when where with within",
)
"""Words that may stand before an opening bracket without being called."""

TYPES = _words(
    "bigint bigdecimal boolean char date datetime decimal double float int interval nchar numeric nvarchar real smallint text time timestamp timestamptz ",
    "tinyint uuid varchar json jsonb",
)
"""Types that a cast may name; those that look something up (`regclass`, `regproc`, …) are not among them."""
