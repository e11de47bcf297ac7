"""Merges of trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from shoal.swarm.history import Graph
from shoal.swarm.merging import merge_heads, merge_trees
from tests.unit.swarm.test_history import commit

if TYPE_CHECKING:
    from shoal.swarm.commits import Commit

BLOBS = st.sampled_from([bytes([n]) * 20 for n in range(3)])
TREES = st.dictionaries(st.sampled_from("abcd"), BLOBS)


@given(TREES, TREES, TREES)
def test_three_ways(
    base: dict[str, bytes], first: dict[str, bytes], second: dict[str, bytes]
) -> None:
    """Each file is as the side that changed it has it; nothing comes from nowhere."""
    merged = merge_trees(base, first, second)

    for path in {*base, *first, *second}:
        one, other, before = first.get(path), second.get(path), base.get(path)
        assert merged.get(path) in (one, other)
        if other in (one, before):
            assert merged.get(path) == one
        elif one == before:
            assert merged.get(path) == other


def test_heads_in_either_order() -> None:
    """Whoever merges gets the same files; a conflict goes to the greater head."""
    root, one, other = commit(message=b"root"), commit(message=b"1"), commit(message=b"2")
    one, other = commit(root.id, message=b"1"), commit(root.id, message=b"2")
    graph = Graph()
    files: dict[bytes, dict[str, bytes]] = {}
    for number, each in enumerate((root, one, other)):
        graph.add(each)
        tree = bytes([number]) * 20
        graph._nodes[each.id] = graph[each.id]._replace(tree=tree)  # noqa: SLF001 - trees by hand
        files[tree] = {"profile.vcf": tree, f"only{number}": tree}
    merged = merge_heads(graph, one.id, other.id, files.__getitem__)

    assert merged == merge_heads(graph, other.id, one.id, files.__getitem__)
    winner = max(one.id, other.id)
    assert merged["profile.vcf"] == graph[winner].tree
    assert {"only1", "only2"} <= merged.keys()
    assert "only0" not in merged


def test_criss_cross() -> None:
    """Two best common ancestors are merged first, so that neither side's news is undone."""
    graph, files = Graph(), dict[bytes, dict[str, bytes]]()

    def grow(tree: dict[str, bytes], *parents: Commit) -> Commit:
        made = commit(*(parent.id for parent in parents), message=b"%d" % len(graph))
        graph.add(made)
        key = len(files).to_bytes(20)
        graph._nodes[made.id] = graph[made.id]._replace(tree=key)  # noqa: SLF001 - trees by hand
        files[key] = tree
        return made

    a, b = bytes(20), bytes([1]) * 20
    root = grow({})
    left, right = grow({"a": a}, root), grow({"b": b}, root)
    one = grow({"a": a, "b": b}, left, right)
    other = grow({"b": b}, right, left)  # this side has removed a since
    merged = merge_heads(graph, one.id, other.id, files.__getitem__)

    assert merged == {"b": b}
