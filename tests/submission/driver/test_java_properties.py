"""`spark.properties` reads back as it was, and looks as Java would have written it."""

from hypothesis import given
from hypothesis import strategies as st

from submission.driver.java_properties import stored
from submission.spark.properties import BLANK, parse_properties

_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n\f\r\\=:#! "), max_size=20)


def test_what_java_escapes_is_escaped() -> None:
    written = stored({"spark.k ey": "a=b:c#d!e\\f", "spark.a": " x\ty\n", "spark.ü": "ö"}, comment="made")
    assert written == "#made\nspark.a=\\ x\\ty\\n\nspark.k\\ ey=a\\=b\\:c\\#d\\!e\\\\f\nspark.ü=ö\n"


@given(st.dictionaries(_TEXT.filter(lambda key: key.strip(BLANK)), _TEXT, max_size=5))
def test_properties_read_back_as_they_were(properties: dict[str, str]) -> None:
    # Spark trims values when it reads them.
    expected = {key: value.strip(BLANK) for key, value in properties.items()}
    assert parse_properties(stored(properties, comment="made")) == expected
