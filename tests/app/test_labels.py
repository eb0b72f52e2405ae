"""Labelled files as people have them become examples, or a fault says what they lack."""

import csv
import gzip
import json

import pytest

from interlock.app.labels import Columns, read_labels
from interlock.core.errors import ConfigError


def written(folder, name, text):
    path = folder / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.requirement("GW-15")
def test_the_documented_columns_are_read(tmp_path):
    text = (
        "prompt,task,weak_answer,strong_answer,weak_correct,strong_correct,weak_cost_usd,strong_cost_usd\n"
        'What is 2+2?,sum,4,"It is 4, of course",true,1,0.0001,0.02\n'
        "Unlabelled,sum,,,,,,\n"
    )
    found = read_labels(written(tmp_path, "a.csv", text))

    [example] = found.examples
    assert found.models == ("weak", "strong")
    assert found.skipped == 1
    assert (example.prompt, example.task) == ("What is 2+2?", "sum")
    assert example.right == {"weak": 1.0, "strong": 1.0}
    assert example.answers == {"weak": "4", "strong": "It is 4, of course"}
    assert example.costs_nano_usd == {"weak": 100_000, "strong": 20_000_000}


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json"])
def test_nested_scores_of_many_models_are_read(tmp_path, name):
    row = {"question": "Why?", "scores": {"a": 1.0, "b": 0.5, "c": 0}, "costs": {"a": 0.01}}
    found = read_labels(written(tmp_path, name, json.dumps([row]) if name == "a.json" else json.dumps(row)))
    assert found.models == ("a", "b", "c")
    assert found.examples[0].right == {"a": 1.0, "b": 0.5, "c": 0.0}
    assert found.examples[0].costs_nano_usd == {"a": 10_000_000}


def test_plain_columns_with_a_response_beside_them_are_models_and_can_be_renamed(tmp_path):
    text = "prompt,x/mix,gpt,x/mix_response,gpt_response\nHow?,True,False,so,thus\n"
    found = read_labels(written(tmp_path, "a.csv.gz", text), Columns({"small": "x/mix", "premium": "gpt"}))
    assert found.models == ("small", "premium")
    assert found.examples[0].right == {"small": 1.0, "premium": 0.0}
    assert found.examples[0].answers["premium"] == "thus"


def test_columns_of_yes_and_no_alone_are_labels(tmp_path):
    found = read_labels(written(tmp_path, "a.csv", "domain,prompt,mix,gpt\nlaw,How?,True,False\nart,Why?,False,True\n"))
    assert found.models == ("mix", "gpt")
    assert [each.task for each in found.examples] == ["law", "art"]


def test_columns_can_be_named(tmp_path):
    path = written(tmp_path, "a.csv", "ask,kind,m_correct\nHow?,k,1\n")
    [example] = read_labels(path, Columns(prompt="ask", task="kind")).examples
    assert (example.prompt, example.task) == ("How?", "k")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "prompt,weak_correct\nHow?,perhaps\n", "row 1: the label of 'weak' is 'perhaps'"),
        ("a.csv", "prompt,words\nHow?,perhaps\n", "no model's label among the columns prompt, words"),
        ("a.csv", "", "there is no row in it"),
        ("a.jsonl", "{broken", "cannot be read as jsonl"),
        ("a.json", "[1, 2]", "row 1 is no object"),
        ("a.csv.gz", None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_teach_says_what_it_lacks(tmp_path, name, text, message):
    path = tmp_path / name if text is None else written(tmp_path, name, text)
    if text is None:
        path.write_bytes(b"\x1f\x8bbroken")
    with pytest.raises(ConfigError) as caught:
        read_labels(path)
    assert message in str(caught.value.faults[0])


def test_a_model_that_the_file_does_not_have_is_named_with_those_it_has(tmp_path):
    path = written(tmp_path, "a.csv", "prompt,a_correct,b_correct\nHow?,1,0\n")
    with pytest.raises(ConfigError) as caught:
        read_labels(path, Columns({"small": "z"}))
    assert "It has labels of: a, b." in caught.value.faults[0].hint


def test_the_csv_limit_of_others_is_left_as_it_was(tmp_path):
    before = csv.field_size_limit()
    read_labels(written(tmp_path, "a.csv", f"prompt,a_correct\n{'x' * 200_000},1\n"))
    assert csv.field_size_limit() == before
