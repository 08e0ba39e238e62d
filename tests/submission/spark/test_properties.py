"""Properties files mean what Java takes them to mean."""

from hypothesis import given
from hypothesis import strategies as st

from submission.spark.properties import BLANK, format_properties, parse_properties

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def test_the_forms_of_spark_defaults_are_read() -> None:
    text = """
# a comment
! another
spark.jars              a.jar,b.jar
spark.files=x.csv
  spark.archives :  e.tar.gz#env
spark.driver.extraJavaOptions  -Da=b \\
    -Dc=d
key\\ with\\ spaces = v\\u00e9
spark.empty
spark.files=y.csv
"""
    assert parse_properties(text) == {
        "spark.jars": "a.jar,b.jar",
        "spark.files": "y.csv",
        "spark.archives": "e.tar.gz#env",
        "spark.driver.extraJavaOptions": "-Da=b -Dc=d",
        "key with spaces": "vé",
        "spark.empty": "",
    }


@given(st.dictionaries(TEXT.filter(bool), TEXT.map(lambda value: value.strip(BLANK))))
def test_what_is_written_reads_back_the_same(properties: dict[str, str]) -> None:
    assert parse_properties(format_properties(properties)) == properties
