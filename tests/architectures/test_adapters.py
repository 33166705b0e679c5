"""A LoRA adapter changes what a model says by its scale, in every engine alike; a wrong one is refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pipeline.batching import Row
from pipeline.config import EngineSettings, Job, JobTask, Lora, Shape
from pipeline.data import Completion, ConstraintSpec, Prompt, Segment
from pipeline.engines.llama import Llama
from pipeline.engines.shape import Demand, Machine, less, resolve
from pipeline.engines.sizes import Sizes
from pipeline.engines.spec import EngineSpec
from pipeline.errors import JobError, ModelFileError
from pipeline.models.adapter import check_adapter
from pipeline.models.gguf import check_model
from pipeline.models.inspect import inspect
from pipeline.models.locate import sha256_of
from pipeline.models.tokenizer import Tokenizer
from pipeline.prompting import PromptBuilder, load_task
from pipeline.run import _recipe_parts
from pipeline.run.model import FileModel, open_model

SIZES = Sizes(512, 4, 64, 8, 64, 1)
NEAR = 0.05  # logits; answers may part only where the two best tokens are closer than this
SCHEMA = '{"type": "object", "properties": {"text": {"type": "string", "maxLength": 20}}, "required": ["text"]}'


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory, tiny: ModuleType) -> Path:
    return Path(tiny.write_adapter(tmp_path_factory.mktemp("adapters")))


def logits(model: Path, adapters: list[tuple[Path, float]]) -> np.ndarray:
    engine = Llama(model, SIZES, adapters)
    try:
        engine.decode([Row(5 + i, i, (0,), logits=i == 9) for i in range(10)])
        return engine.logits(9).copy()
    finally:
        engine.close()


def answers(model: Path, engine: str, adapters: list[tuple[Path, float]]) -> dict[str, Completion]:
    tokenizer = Tokenizer.load(model)
    prefix = Segment.of([1, *tokenizer.encode("Say something. " * 4, first=True)], shared=True)
    prompts = [
        Prompt(word, (prefix, Segment.of(tokenizer.encode_data(f"The {word}."))), ConstraintSpec(SCHEMA), 60)
        for word in ("bill", "note", "cat")
    ]
    shape = resolve(Shape(slots=3), check_model(model), Machine(1, 4 << 30), Demand(100, 120, 220, ranked=False))
    running = EngineSpec(model, engine, "llguidance", shape, adapters=tuple(adapters)).build()  # type: ignore[arg-type]
    try:
        return {completion.work_key: completion for completion in running.run(prompts)}
    finally:
        running.close()


def test_an_adapter_counts_by_its_scale_and_not_at_all_at_zero(models: dict[str, Path], adapter: Path) -> None:
    without, zero, half, whole = (
        logits(models["llama"], given) for given in ([], [(adapter, 0.0)], [(adapter, 0.5)], [(adapter, 1.0)])
    )

    assert np.array_equal(without, zero)
    assert np.abs(whole - without).max() > np.abs(half - without).max() / 2 > 0.05
    assert not np.allclose(half, whole)


def test_several_adapters_add_up(models: dict[str, Path], adapter: Path) -> None:
    twice = logits(models["llama"], [(adapter, 0.25), (adapter, 0.25)])

    assert np.allclose(twice, logits(models["llama"], [(adapter, 0.5)]), atol=0.02)


def test_with_an_adapter_the_fast_engine_answers_as_the_slow_one(models: dict[str, Path], adapter: Path) -> None:
    over = [(adapter, 1.0)]
    fast, slow = (answers(models["llama"], engine, over) for engine in ("batched", "naive"))
    plain = answers(models["llama"], "naive", [])

    for key, one in fast.items():
        pairs = enumerate(zip(one.tokens, slow[key].tokens, strict=False))
        apart = next((i for i, (a, b) in pairs if a != b), None)
        if apart is not None:
            assert max(one.gaps[apart], slow[key].gaps[apart]) < NEAR
    assert any(slow[key].tokens != plain[key].tokens for key in slow)


def test_a_model_with_an_adapter_says_so_and_names_it_in_its_recipe(models: dict[str, Path], adapter: Path) -> None:
    model = FileModel(str(models["llama"]), (Lora.model_validate(f"{adapter}:0.5"),))
    engine, shape = model.start(EngineSettings(), Demand(50, 200, 250, ranked=False))
    engine.close()

    assert model.adapters.endswith(":0.5")
    assert len(model.adapters.partition(":")[0]) == 64
    assert FileModel(str(models["llama"])).adapters == ""
    assert "adapter adapter.gguf at 0.5" in shape


def test_an_adapter_that_ollama_lays_over_a_model_is_laid_over_it_in_a_run(
    models: dict[str, Path], adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = []
    (tmp_path / "blobs").mkdir()
    for kind, file in (("model", models["llama"]), ("adapter", adapter)):
        digest = sha256_of(file)
        (tmp_path / "blobs" / f"sha256-{digest}").symlink_to(file)
        layers.append({"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{digest}"})
    manifest = tmp_path / "manifests/registry.ollama.ai/me/letters/latest"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"layers": layers}))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path))

    plain = FileModel(str(models["llama"]), (Lora(path=adapter),))
    assert FileModel("ollama:me/letters").adapters == plain.adapters


def test_the_adapter_and_its_scale_are_a_part_of_the_work_key(models: dict[str, Path], adapter: Path) -> None:
    def parts(*lora: Lora) -> dict[str, str]:
        job = Job(database=Path("x"), tasks=(JobTask(task="receipts", inputs=(Path(),)),), lora=lora)
        model = FileModel(str(models["llama"]), lora)
        return _recipe_parts(job, model, PromptBuilder(load_task("receipts"), model.tokenizer))

    plain, half, whole = parts(), parts(Lora(path=adapter, scale=0.5)), parts(Lora(path=adapter))

    assert "lora" not in plain
    assert half["lora"] != whole["lora"]
    assert {key: value for key, value in half.items() if key != "lora"} == plain


def test_an_adapters_memory_is_taken_from_what_the_machine_offers(models: dict[str, Path], adapter: Path) -> None:
    header = check_model(models["llama"])
    taken = check_adapter(adapter, 1.0, header).size

    assert taken == 3 * 2 * 2 * 64 * 4 * 4  # layers, tensors of a layer, a and b, width, rank, bytes
    assert less(Machine(1, 100_000, 60_000), taken) == Machine(1, 100_000 - taken, 60_000 - taken)
    assert less(Machine(1, 10), taken).free_memory == 0


def test_an_adapter_of_another_architecture_is_refused_before_llama_cpp_sees_it(
    models: dict[str, Path], tmp_path: Path, tiny: ModuleType
) -> None:
    other = tiny.write_adapter(tmp_path, "qwen2")

    with pytest.raises(ModelFileError, match="architecture qwen2"):
        FileModel(str(models["llama"]), (Lora(path=other),))


def test_what_is_no_adapter_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    for path, why in (
        (models["llama"], "no LoRA adapter"),
        (tmp_path / "x.gguf", "cut short"),
        (tmp_path / "none", "none"),
    ):
        with pytest.raises(ModelFileError, match=why):
            FileModel(str(models["llama"]), (Lora(path=path),))
    with pytest.raises(JobError, match="no weights"):
        open_model("scripted", (Lora(path=tmp_path / "x.gguf"),))


def test_an_adapter_of_another_shape_is_llama_cpps_to_refuse(
    models: dict[str, Path], tmp_path: Path, tiny: ModuleType
) -> None:
    other = tiny.write_adapter(tmp_path, width=32)

    with pytest.raises(ModelFileError, match="cannot lay the adapter"):
        logits(models["llama"], [(other, 1.0)])


def test_inspect_says_how_an_adapter_is_used(adapter: Path) -> None:
    seen = inspect(adapter)

    assert seen.what == "a LoRA adapter (GGUF)"
    assert f"--lora {adapter}" in seen.advice


@pytest.mark.parametrize(
    ("text", "path", "scale"),
    [("a.gguf", "a.gguf", 1.0), ("a.gguf:0.5", "a.gguf", 0.5), ("a:b.gguf", "a:b.gguf", 1.0), ("a:-1", "a", -1.0)],
)
def test_an_adapter_is_written_as_file_and_scale(text: str, path: str, scale: float) -> None:
    lora = Lora.model_validate(text)

    assert (str(lora.path), lora.scale) == (path, scale)
    assert Lora.model_validate_json(lora.model_dump_json()) == lora
