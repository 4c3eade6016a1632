"""How rights are written down, and that the paper has the table of the code."""

from pathlib import Path

from ops.docs.rights_table import with_table
from processors.groups import DELIVER_OUTPUTS
from schemas.kafka.rights.grants import acl_lines, missing_sentence, strimzi_user
from schemas.kafka.rights.table import Operation, Purpose, Resource, Right, group_rights, rights_of
from schemas.sections.kafka import KafkaSettings
from tests.support.checkout import ROOT

RIGHTS = (
    Right(Resource.TOPIC, "p.raw", Operation.READ),
    Right(Resource.TOPIC, "p.raw", Operation.WRITE),
    Right(Resource.TRANSACTIONAL_ID, "p.deliver-", Operation.WRITE, is_prefix=True),
)


def test_the_ingress_may_write_one_topic_and_read_another() -> None:
    """The smallest user: where it runs, nothing else can be read or written."""
    assert [str(one) for one in rights_of(Purpose.INGEST, "p.")] == ["Read on topic p.layout", "Write on topic p.raw"]


def test_the_gap_tracker_alone_may_look_at_raw() -> None:
    """As a user of its own it must see the ends and the times of `raw`, or time alone makes no hole due."""
    rights = [str(one) for one in group_rights("sequence", "p.") if one.operation is Operation.DESCRIBE]
    assert rights == ["Describe on group p.deliver", "Describe on topic p.raw"]


def test_one_line_grants_all_operations_on_a_thing() -> None:
    """Words of a shell, quoted where a principal has spaces."""
    assert list(acl_lines(RIGHTS, "User:CN=a b", "k:9092")) == [
        "kafka-acls --bootstrap-server k:9092 --command-config admin.properties --add "
        "--allow-principal 'User:CN=a b' --operation Read --operation Write --topic p.raw",
        "kafka-acls --bootstrap-server k:9092 --command-config admin.properties --add "
        "--allow-principal 'User:CN=a b' --operation Write --transactional-id p.deliver- "
        "--resource-pattern-type prefixed",
    ]


def test_strimzi_has_a_user_of_its_own_words() -> None:
    """Types, patterns and operations as the operator's reference has them."""
    assert strimzi_user(Purpose.PROCESS, RIGHTS).splitlines()[12:] == [
        "    acls:",
        "      - resource:",
        "          type: topic",
        '          name: "p.raw"',
        "          patternType: literal",
        "        operations: [Read, Write]",
        "      - resource:",
        "          type: transactionalId",
        '          name: "p.deliver-"',
        "          patternType: prefix",
        "        operations: [Write]",
    ]


def test_a_missing_right_is_one_sentence_and_one_line() -> None:
    """Who, what, on what, and what grants it."""
    kafka = KafkaSettings(bootstrap_servers="k:9092")
    assert missing_sentence(RIGHTS[:1], kafka) == (
        "Kafka does not grant User:ANONYMOUS: Read on topic p.raw\n"
        "kafka-acls --bootstrap-server k:9092 --command-config admin.properties --add "
        "--allow-principal User:ANONYMOUS --operation Read --topic p.raw"
    )


def test_of_many_missing_rights_the_first_are_told() -> None:
    """A user without any right is no page of text."""
    said = missing_sentence(rights_of(Purpose.TOPICS, "p."), KafkaSettings())
    assert said.splitlines()[0].endswith("; and 12 things more")
    assert said.splitlines()[-1] == "and so on: dropstream topics acls --format kafka-acls"
    assert len(said.splitlines()) == 8


def test_a_group_alone_needs_less_than_both() -> None:
    """`process deliver` and `process sequence` can be two users; a group of another name has no row."""
    both = set(rights_of(Purpose.PROCESS, "p."))
    deliver, sequence = (set(group_rights(name, "p.")) for name in ("deliver", "sequence"))
    assert deliver < both
    assert both - deliver - sequence == {Right(Resource.TOPIC, "p.audit-state", Operation.READ)}
    assert group_rights("replay-1", "p.") == ()


def test_a_group_may_write_what_it_leads_to() -> None:
    """An output without its right would stop every processor of a cluster with an authorizer."""
    written = {
        one.name for one in group_rights("deliver", "") if one.operation is Operation.WRITE and not one.is_prefix
    }
    assert written == {*DELIVER_OUTPUTS, "deliver-state", "rules"}


def test_the_paper_has_the_rights_of_the_code() -> None:
    """`python -m ops.docs.rights_table docs/operate.md` writes them anew."""
    page = (ROOT / Path("docs/operate.md")).read_text(encoding="utf-8")
    assert with_table(page) == page
    assert "| `ingest` | `dropstream ingest` | Read: `layout`<br>Write: `raw` |" in page
