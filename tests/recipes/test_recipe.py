"""Recipes: what they expand to, how errors in them are told, and that their schema says the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from ruamel.yaml import YAML

from lska_surgeon.errors import RecipeError
from lska_surgeon.recipes.recipe import Recipe, bases_of, read_recipe
from lska_surgeon.recipes.templates import templates
from lska_surgeon.recipes.variants import plan_variants

SCHEMA = Draft7Validator(json.loads(templates()["recipe-schema"].text))


def recipe(folder: Path, text: str) -> Recipe:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path)


def files(found: Recipe) -> list[str]:
    return [variant.file for variant in plan_variants(found)]


# What a recipe asks for.


def test_matrix_include_and_exclude(tmp_path: Path) -> None:
    found = recipe(
        tmp_path,
        """
base: [yolov8n.yaml, yolov8s.yaml]
matrix: {at: [neck, residual], k: [7, 53], op: [lska]}
include: [{base: yolov8m-seg.yaml, at: [neck:p3@11, neck:p5@35]}]
exclude: [{at: residual, k: 53}]
out: variants/{base}-{op}-{at}-k{k}.yaml
""",
    )
    assert files(found) == [
        "variants/yolov8n-lska-neck-k7.yaml",
        "variants/yolov8n-lska-neck-k53.yaml",
        "variants/yolov8n-lska-residual-k7.yaml",
        "variants/yolov8s-lska-neck-k7.yaml",
        "variants/yolov8s-lska-neck-k53.yaml",
        "variants/yolov8s-lska-residual-k7.yaml",
        "variants/yolov8m-seg-lska-neck-p3-neck-p5-k11-35.yaml",
    ]


def test_counted_from_the_end_is_another_name(tmp_path: Path) -> None:
    text = "base: yolov8n.yaml\nmatrix: {at: ['after:2', 'after:-2', 'edge:-9->-8'], k: 7}\nout: '{at}.yaml'\n"
    assert files(recipe(tmp_path, text)) == ["after-2.yaml", "after-minus2.yaml", "edge-minus9-minus8.yaml"]


@pytest.mark.parametrize(
    ("out", "names"),
    [
        ("v/{base}-{op}-{at}-{k}.yaml", ["v/yolov8n-cbam-sppf.yaml", "v/yolov8n-lska-sppf-7.yaml"]),
        ("v/{base}-{op}-k{k}-d{d}.yaml", ["v/yolov8n-cbam.yaml", "v/yolov8n-lska-k7-d2.yaml"]),
        ("v/{op}_{k}_{base}.yaml", ["v/cbam_yolov8n.yaml", "v/lska_7_yolov8n.yaml"]),
    ],
)
def test_a_number_that_an_operator_has_not_leaves_no_trace(out: str, names: list[str], tmp_path: Path) -> None:
    text = f"base: yolov8n.yaml\nmatrix: {{at: sppf, k: 7, op: [lska, cbam]}}\nout: '{out}'\n"
    assert sorted(files(recipe(tmp_path, text))) == names


CBAM = "base: yolov8n.yaml\nmatrix: {at: sppf, op: [lska, cbam], k: 7"


@pytest.mark.parametrize(
    ("text", "gates"),
    [
        (CBAM + "}", [False, False]),
        (CBAM + ", gated: true}", [False, True]),
        (CBAM + ", gated: [true, false]}", [False, True, False]),
        (CBAM + "}\ntrain: {data: d.yaml, start: a.pt}", [False, True]),  # where it has to start as the identity
        (CBAM + "}\ntrain: {data: d.yaml, start: a.pt, init: default}", [False, False]),
        (CBAM + ", gated: false}\ntrain: {data: d.yaml, start: a.pt}", [False, False]),
        (CBAM + "}\ninclude: [{at: neck, op: cbam, gated: true}]", [False, False, True]),
        (CBAM + "}\ninclude: [{at: neck, op: cbam}]\ntrain: {data: d.yaml, start: a.pt}", [False, True, True]),
        (CBAM + ", gated: [true, false]}\nexclude: [{gated: true}]", [False, False]),
    ],
)
def test_operators_without_an_identity_go_behind_a_gate_where_one_is_needed(
    text: str, gates: list[bool], tmp_path: Path
) -> None:
    found = recipe(tmp_path, text + "\n")
    SCHEMA.validate(YAML(typ="safe").load(text))
    assert [wanted.gated for wanted in found.wanted] == gates
    names = [f"variants/yolov8n-{'gated-' * gated}{one.op}-" for gated, one in zip(gates, found.wanted)]
    assert all(file.startswith(name) for file, name in zip(files(found), names))


def test_what_is_excluded_need_not_exist(tmp_path: Path) -> None:
    text = "base: yolov8n.yaml\nmatrix: {at: sppf, k: 9, dilation: 2, op: [lska, lka-trivial]}\n"
    with pytest.raises(RecipeError, match="lka-trivial has one dense kernel"):
        recipe(tmp_path, text)
    assert len(recipe(tmp_path, text + "exclude: [{op: lka-trivial, dilation: 2}]\n").wanted) == 1


def test_several_positions_in_one_variant_and_names_as_insert_gives_them(tmp_path: Path) -> None:
    found = recipe(tmp_path, "base: yolov8n.yaml\nmatrix: {at: [[sppf, 'neck:p3@11']], k: 35, op: lka}\n")
    assert files(found) == ["variants/yolov8n-lka-sppf-k35-neck-p3-k11.yaml"]
    assert [wanted.at for wanted in found.wanted] == [("sppf", "neck:p3@11")]


def test_scales_and_dilations_are_dimensions_too(tmp_path: Path) -> None:
    found = recipe(
        tmp_path,
        "base: yolov8.yaml\nout: '{base}-{scale}-k{k}d{d}.yaml'\n"
        "matrix: {at: sppf, scale: [n, s], k: 9, dilation: [2, 3]}\n",
    )
    assert files(found) == [f"yolov8{scale}-{scale}-k9d{d}.yaml" for scale in "ns" for d in (2, 3)]


def test_a_base_beside_the_recipe_goes_before_a_stock_one(tmp_path: Path) -> None:
    (tmp_path / "yolov8n.yaml").write_text(
        "backbone: [[-1, 1, Conv, [16, 3, 2]]]\nhead: [[-1, 1, Classify, [nc]]]\nnc: 3\n"
    )
    (variant,) = plan_variants(recipe(tmp_path, "base: yolov8n.yaml\nmatrix: {at: 'after:0', k: 7}\n"))
    assert variant.base.path == tmp_path / "yolov8n.yaml"


def test_resolve_writes_real_widths(tmp_path: Path) -> None:
    (variant,) = plan_variants(recipe(tmp_path, "base: yolov8n.yaml\nresolve: true\nmatrix: {at: sppf, k: 7}\n"))
    assert "[-1, 1, LSKA, [256, 7]]" in variant.text


def test_how_the_variants_are_trained(tmp_path: Path) -> None:
    base = "base: yolov8s.yaml\nmatrix: {at: sppf, k: 7}\n"
    assert recipe(tmp_path, base).experiment is None
    train = "train: {data: [a.yaml, b.yaml], start: '{base}.pt', epochs: 3, lr0: 0.01, amp: false, freeze: [0, 1]}\n"
    found = recipe(tmp_path, f"{base}{train}seeds: [4, 2]\ncontrols: [base, larger]\nlatency: true\n").experiment
    assert (found.data, found.start, found.seeds) == (("a.yaml", "b.yaml"), "{base}.pt", (4, 2))
    assert (found.larger, found.latency) == (True, ("torch",))
    assert found.arguments == {"epochs": 3, "lr0": 0.01, "amp": False, "freeze": [0, 1]}
    assert recipe(tmp_path, f"{base}{train}").lines["train.lr0"] == 3
    plain = recipe(tmp_path, f"{base}train: {{data: a.yaml}}\n").experiment
    assert (plain.start, plain.seeds, plain.larger, plain.arguments) == ("scratch", (0, 1, 2), False, {})


# Errors.

SPPF = "base: yolov8n.yaml\nmatrix: {at: sppf}\n"
AT = "base: yolov8n.yaml\nmatrix:\n  at: "
ERRORS = [
    ("[]", " has no keys: give a recipe, such as one of `lska-surgeon templates`"),
    ("base: a\nmatrix: {at: [neck}", ", line 2 is not YAML: expected ',' or ']', but got '}'"),
    ("base: yolov8n.yaml", ", line 1: it asks for nothing: give it a matrix, such as {at: [neck], k: [7, 35]}"),
    ("matrix: {at: neck}", ", line 1, base: the matrix needs a base, such as base: [yolov8n.yaml, yolov8s.yaml]"),
    ("base: yolov8n.yaml\nmatrix: {k: 7}", ", line 2, matrix: it needs positions, such as at: [sppf, neck]"),
    (AT + "[sppf, nek]", ", line 3, matrix.at: no position 'nek' (did you mean neck?)"),
    (AT + "sppf\n  k: [7, 9]", ", line 4, matrix.k: no kernel size 9 for lska"),
    (AT + "sppf@8\n  k: 7", ", line 3, matrix.at: kernel size 8 is not an odd number"),
    (AT + "'sppf,neck'", ", line 3, matrix.at: 'sppf,neck' is several positions: write [sppf, neck] for a "),
    (AT + "sppf\n  k: '7'", ", line 4, matrix.k: '7' is not a whole number"),
    (AT + "sppf\n  k: []", ", line 4, matrix.k: the list is empty"),
    (AT + "sppf\n  op: lskaa", ", line 4, matrix.op: no operator 'lskaa' (did you mean lska?)"),
    (AT + "sppf\n  k: 11\n  dilation: [99]", ", line 5, matrix.dilation: dilation 99 does not fit kernel size 11"),
    (AT + "sppf\n  kk: 7", ", line 4, matrix: no field 'kk' here (did you mean k?): there are at, k, op"),
    (AT + "sppf\n  op: cbam\n  gated: closed", ", line 5, matrix.gated: 'closed' is neither true nor false"),
    (AT + "sppf\n  gated: true", ", line 4, matrix.gated: lska can start as the identity without a gate: drop gated"),
    ("base: {}\nmatrix: {at: sppf}", ", line 1, base: a mapping is not a word"),
    ("base: yolov8n.yaml\nbase: yolov8s.yaml", ", line 2: it has base twice: keep one"),
    ("include: [{at: sppf}]", ", line 1, include[0]: it needs a base, such as base: yolov8m-seg.yaml"),
    ("include: [{base: yolov8n.yaml}]", ", line 1, include[0]: it needs positions"),
    *(
        (SPPF + text, f", line {line}{message}")
        for text, line, message in (
            ("budgt: {}", 3, ": no field 'budgt' here (did you mean budget?)"),
            ("budget: {max_params: 40 M}", 3, ", budget.max_params: '40 M' is no limit"),
            ("budget: {max_gflops: 0x}", 3, ", budget.max_gflops: '0x' is no limit"),
            ("imgsz: [1, 2, 3]", 3, ", imgsz: it is one number of pixels, 1 to 16384"),
            ("imgsz: 99999", 3, ", imgsz: it is one number of pixels, 1 to 16384"),
            ("resolve: 1", 3, ", resolve: '1' is neither true nor false"),
            ("out: x.txt", 3, ", out: 'x.txt' does not end in .yaml"),
            ("out: '{bas}.yaml'", 3, ", out: no field {bas} in '{bas}.yaml': there are"),
            ("out: '{base.x}.yaml'", 3, ", out: '{base.x}.yaml' has braces"),
            ("out: ../x.yaml", 3, ", out: '../x.yaml' leaves the recipe's folder"),
            ("out: /x.yaml", 3, ", out: '/x.yaml' leaves the recipe's folder"),
            ("index: x.yaml", 3, ", index: 'x.yaml' does not end in .json"),
            ("exclude: [{at: neck}]", 3, ", exclude[0]: it matches nothing in the matrix: at neck"),
            ("exclude: [{}]", 3, ", exclude[0]: it names nothing"),
            ("exclude: [{at: sppf}]", 1, ": it asks for nothing: all of its matrix"),
            ("seeds: [0]", 3, ", seeds: it belongs to a training: add train: {data: FILE.yaml}"),
            ("train: {epochs: 3}", 3, ", train: it needs data, such as data: my-data.yaml"),
            ("train: a.yaml", 3, ", train: it is a mapping with keys such as data, epochs, imgsz"),
            ("train:\n  data: a.yaml\n  seed: 1", 5, ", train.seed: it has no place here: the seeds stand in"),
            ("train:\n  data: a.yaml\n  start: b.yaml", 5, ", train.start: 'b.yaml' is neither scratch nor"),
            ("train:\n  data: a.yaml\n  start: '{k}.pt'", 5, ", train.start: no field {k} in '{k}.pt': there are"),
            ("train:\n  data: a.yaml\n  init: default", 5, ", train.init: it says how operators start in a"),
            ("train: {data: a.yaml,\n  start: a.pt,\n  init: x}", 5, ", train.init: 'x' is none of default, ident"),
            ("train:\n  data: a.yaml\n  lr0: {a: 1}", 5, ", train.lr0: it is a number, a word, true or false"),
            ("train:\n  data: [a.yaml,\n    a.yaml]", 4, ", train.data: it has a.yaml twice: keep one"),
            ("train: {data: a.yaml}\nseeds: 3", 4, ", seeds: it is a list of whole numbers, such as [0, 1, 2]"),
            ("train: {data: a.yaml}\nseeds: [0, -1]", 4, ", seeds: -1 is below 0"),
            ("train: {data: a.yaml}\nsequential: {drop: .nan}", 4, ", sequential.drop: .nan is no number"),
            ("train: {data: a.yaml}\nseeds: []", 4, ", seeds: the list is empty"),
            ("train: {data: a.yaml}\ncontrols: small", 4, ", controls: 'small' is none of base, larger"),
            (
                "train: {data: a.yaml}\nsequential: 1",
                4,
                ", sequential: it is true, or a mapping with keys such as most",
            ),
            ("train: {data: a.yaml}\nsequential: {seeds: 7}", 4, ", sequential: no field 'seeds' here"),
            ("train: {data: a.yaml}\nsequential: {most: 0}", 4, ", sequential.most: 0 is below 1"),
            (
                "train: {data: a.yaml}\nsequential: {question: worse}",
                4,
                ", sequential.question: 'worse' is none of best, better, gate",
            ),
            ("train: {data: a.yaml}\nsequential: {drop: 0.5}", 4, ", sequential.drop: it is a chance from 0 to below"),
            (
                "train: {data: a.yaml}\nsequential: {question: best, strict: true}",
                4,
                ", sequential.strict: it belongs to question: better, and the question is best: drop strict",
            ),
            (
                "train: {data: a.yaml}\nsequential: {margin: 0.01}",
                4,
                ", sequential.margin: it belongs to question: gate, and the question is better: drop margin",
            ),
            (
                "train: {data: a.yaml}\nseeds: [1, 2]\nsequential: {most: 24}",
                5,
                ", sequential.most: the seeds are listed, 2 of them: drop most, or seeds",
            ),
            ("sequential: true", 3, ", sequential: it belongs to a training"),
            ("train: {data: a.yaml}\nlatency: 1", 4, ", latency: '1' is neither true nor false"),
            (
                "train: {data: a.yaml}\nlatency: {runtimes: [mnn, nccn]}",
                4,
                ", latency.runtimes: no runtime 'nccn' (did",
            ),
            ("train: {data: a.yaml}\nlatency: {runtimes: []}", 4, ", latency.runtimes: the list is empty"),
            ("train: {data: a.yaml}\nlatency: {runtime: mnn}", 4, ", latency: no field 'runtime' here (did you mean"),
            ("train: {data: a.yaml}\nseeds: [1, 1]", 4, ", seeds: it has 1 twice: keep one"),
            ("train: {data: a.yaml}\nlabels: [a]", 4, ", labels: it is a mapping with keys such as yolov8s-lska"),
            ("train: {data: a.yaml}\nlabels: {a: 3}", 4, ", labels.a: '3' is not a word"),
        )
    ),
]


#: Errors that take more than the shape of a recipe to find: the schema calls all others wrong as well.
BEYOND = re.compile(
    r"no (position|kernel|operator|limit|field \{)|odd number|several positions|does not fit|can start as|has braces|"
    r"it belongs to question|the seeds are listed|"
    r"is no number|leaves|matches nothing|all of its|says how|is not YAML|base twice|base: yolov8m"
)


@pytest.mark.parametrize(("text", "message"), ERRORS)
def test_errors_name_file_line_and_field(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe(tmp_path, text + "\n")
    assert str(caught.value).startswith(f"{tmp_path / 'recipe.yaml'}{message}")
    assert "\n" not in str(caught.value)
    assert bool(BEYOND.search(message)) or not SCHEMA.is_valid(YAML(typ="safe").load(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "base: nope.yaml\nmatrix: {at: sppf}",
            "line 1, base: no file nope.yaml, and no stock model of that name",
        ),
        (
            "base: yolov8n-cls.yaml\nmatrix: {at: sppf}",
            "line 2, matrix.at: --at sppf matches nothing in yolov8n-cls.yaml",
        ),
        (
            "base: [yolov8n.yaml, yolov8s.yaml]\nmatrix: {at: sppf}\nout: x.yaml",
            "line 2, matrix.at: two variants want the file x.yaml: tell them apart in `out`, with {base}",
        ),
        (
            "base: yolov8.yaml\nmatrix:\n  at: sppf\n  scale: [q]",
            "line 4, matrix.scale: no scale q: this model has n, s, m, l, x",
        ),
        (
            "base: yolov8n.yaml\nmatrix: {at: ['neck@7', 'neck@11']}\nout: '{at}.yaml'",
            "the file neck.yaml: their {at} read alike in a name; give one of them an `out` of its own, under include",
        ),
        ("base: yolov8n.yaml\nmatrix: {at: sppf}\nout: recipe.yaml", "which the recipe itself reads: change `out`"),
    ],
)
def test_what_bases_do_not_have_is_told_with_its_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        plan_variants(recipe(tmp_path, text + "\n"))
    assert message in str(caught.value)


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"recipe.yaml can't be read: No such file or directory"):
        read_recipe(tmp_path / "recipe.yaml")


BASE = "project/yolov8n-own.yaml"


@pytest.mark.parametrize(
    ("text", "bases"),
    [
        (f"base: {BASE}\nmatrix: {{at: neck, k: 7}}\n", [BASE]),
        ("base: [a.yaml, b.yaml, a.yaml]\n", ["a.yaml", "b.yaml"]),
        ("include:\n- {base: c.yaml, at: neck}\n- 7\n", ["c.yaml"]),
        *((text, []) for text in ("base: {a: b}\n", "- base\n", "base: [\n", "")),
    ],
)
def test_the_bases_of_anything(tmp_path: Path, text: str, bases: list[str]) -> None:
    path = tmp_path / "any.yaml"
    path.write_text(text, encoding="utf-8")
    assert bases_of(path) == [str(tmp_path / base) for base in bases]
    assert bases_of(tmp_path) == bases_of(tmp_path / "gone.yaml") == []


# The schema.


@pytest.mark.parametrize("name", [one.name for one in templates() if one.is_recipe])
def test_shipped_recipes_follow_the_schema_and_expand(name: str, tmp_path: Path) -> None:
    one = templates()[name]
    SCHEMA.validate(YAML(typ="safe").load(one.text))
    assert len(files(recipe(tmp_path, one.text))) > 3


WORDS = st.sampled_from(
    ["neck", "sppf", "yolov8n.yaml", "lska", "lka", "x", "", "{base}.yaml", "a.json", "1.10x", "40M"]
)
VALUES = st.one_of(WORDS, st.sampled_from([0, 1, 7, 35, 640, True, None, 1.5]))
LISTS = st.one_of(VALUES, st.lists(st.one_of(VALUES, st.lists(WORDS, max_size=2)), max_size=2))
DIMENSIONS = st.dictionaries(
    st.sampled_from(["base", "at", "k", "op", "scale", "dilation", "gated", "out", "zz"]), LISTS, max_size=4
)
RECIPES = st.fixed_dictionaries(
    {"base": st.one_of(st.just("yolov8n.yaml"), LISTS), "matrix": st.one_of(st.just({"at": "neck"}), DIMENSIONS)},
    optional={
        "include": st.lists(DIMENSIONS, max_size=2),
        "exclude": st.lists(DIMENSIONS, max_size=1),
        "budget": st.dictionaries(st.sampled_from(["max_gflops", "max_params", "max"]), VALUES, max_size=2),
        "imgsz": LISTS,
        "resolve": VALUES,
        "out": VALUES,
        "index": VALUES,
        "train": st.dictionaries(
            st.sampled_from(["data", "start", "init", "epochs", "seed", "freeze", "zz"]),
            st.one_of(LISTS, st.sampled_from(["scratch", "a.pt", "{base}.pt", "{k}.pt", "identity", "default", {}])),
            max_size=3,
        ),
        "sequential": st.one_of(
            VALUES,
            st.dictionaries(st.sampled_from(["most", "question", "strict", "drop", "zz"]), VALUES, max_size=2),
        ),
        "seeds": st.one_of(LISTS, st.lists(st.integers(-1, 3), max_size=3)),
        "controls": st.one_of(LISTS, st.lists(st.sampled_from(["base", "larger"]), max_size=3)),
        "latency": st.one_of(VALUES, st.fixed_dictionaries({"runtimes": st.sampled_from(["mnn", ["onnx", "torch"]])})),
        "labels": st.one_of(VALUES, st.dictionaries(WORDS, VALUES, max_size=2)),
        "more": VALUES,
    },
)


@given(RECIPES)
def test_what_is_read_follows_the_schema(tmp_path: Path, content: dict[str, Any]) -> None:
    """The schema never calls a recipe wrong that is read without a complaint."""
    try:
        recipe(tmp_path, json.dumps(content))
    except RecipeError:
        return
    SCHEMA.validate(content)


def test_what_is_too_much_is_counted_before_it_is_expanded(tmp_path: Path) -> None:
    sizes, places = list(range(7, 1007)), [f"after:{layer}" for layer in range(500)]
    with pytest.raises(RecipeError, match=r"line 2, matrix: it asks for 1,500,000 variants, and a recipe may "):
        recipe(tmp_path, f"base: tiny.yaml\nmatrix:\n  at: {places}\n  k: {sizes}\n  scale: [n, s, m]\n")
    bases = [f"b{number}.yaml" for number in range(200)]
    with pytest.raises(RecipeError, match=r"line 53, include\[50\]: it asks for 10,200 variants"):
        recipe(tmp_path, f"base: {bases}\ninclude:\n" + "  - {at: [neck]}\n" * 60)


def test_combinations_that_come_twice_stay_where_they_came_first(tmp_path: Path) -> None:
    read = recipe(tmp_path, "base: tiny.yaml\nmatrix: {at: [neck, sppf, neck], op: [cbam, lska], k: [7, 11, 7]}\n")
    found = [(one.op, one.at[0], one.k) for one in read.wanted]
    assert found == [
        *(("cbam", "neck", None), ("cbam", "sppf", None)),
        *(("lska", "neck", 7), ("lska", "neck", 11), ("lska", "sppf", 7), ("lska", "sppf", 11)),
    ]
