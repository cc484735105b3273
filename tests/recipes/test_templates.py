"""The CI files that ship with the package: valid, and proven by running what they say in a real git repository."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator
from ruamel.yaml import YAML
from support.light import full_environment, light_environment

from lska_surgeon.cli.main import main
from lska_surgeon.core.blocks import STOCK
from lska_surgeon.modelfile.sources import stock_models
from lska_surgeon.recipes.templates import UNNAMED, templates

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not shutil.which("git") or not shutil.which("bash"), reason="needs git and bash")


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return light_environment(tmp_path_factory.mktemp("light") / "venv")


def sh(command: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def right(command: str, folder: Path, environment: dict[str, str]) -> str:
    done = sh(command, folder, environment)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


# Valid.


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        (templates()["github"].path, "github-workflows"),
        (templates()["gitlab"].path, "gitlab-ci"),
        ("action.yml", "github-actions"),
    ],
)
def test_workflows_follow_the_published_schemas(path: Path | str, schema: str) -> None:
    right(f"check-jsonschema --builtin-schema vendor.{schema} {path}", ROOT, full_environment())


@pytest.mark.parametrize("name", ["recipe-schema", "blocks-schema", "model-schema"])
def test_a_schema_is_one(name: str) -> None:
    Draft7Validator.check_schema(json.loads(templates()[name].text))


def test_the_schema_of_models_takes_what_is_right_and_knows_the_blocks(request: pytest.FixtureRequest) -> None:
    path = templates()["model-schema"].path
    schema = json.loads(path.read_text(encoding="utf-8"))
    listed = [name for name, block in STOCK.rows.items() if not block.handwritten and not name.startswith("Surgeon")]
    listed = [name for name in listed if name[0].isupper() or name.startswith(("nn.", "v10"))]
    if request.config.getoption("--update-goldens"):
        schema["definitions"]["module"]["anyOf"][0]["enum"] = listed
        path.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert schema["definitions"]["module"]["anyOf"][0]["enum"] == listed
    takes = Draft7Validator(schema)
    for name, model in stock_models().items():
        found = YAML(typ="safe").load(model)
        assert not list(takes.iter_errors(found)), name
        found["head"][-1] = found["head"][-1][:3]
        assert [error.message for error in takes.iter_errors(found)], name
    assert not takes.is_valid({"backbone": [[-1, 1, "Conv", [64, 3, 2]]], "nc": "80 classes"})
    assert not takes.is_valid({"backbone": [["a", 1, "Conv", [64, 3, 2]]]})


def test_lska_surgeon_light_has_the_models_of_a_release() -> None:
    ours = {path.name: path.read_bytes() for path in (ROOT / "light" / "stock").iterdir()}
    if importlib.metadata.version("ultralytics") not in (ROOT / "light" / "README.md").read_text(encoding="utf-8"):
        pytest.skip("another release of ultralytics is installed than the one whose models these are")
    assert ours == {name: path.read_bytes() for name, path in stock_models().items()}


def test_pre_commit_accepts_the_hooks_and_the_template() -> None:
    if not (ROOT / ".pre-commit-hooks.yaml").is_file():
        pytest.skip("the hooks lie in the checkout")
    right("pre-commit validate-manifest .pre-commit-hooks.yaml", ROOT, full_environment())
    right(f"pre-commit validate-config {templates()['pre-commit'].path}", ROOT, full_environment())


# Copying.


def test_templates_are_listed_shown_and_copied() -> None:
    listed = CliRunner().invoke(main, ["templates"]).output
    for one in templates():
        assert f"{one.name}  " in listed
        assert CliRunner().invoke(main, ["templates", "show", one.name]).output == one.text
        assert CliRunner().invoke(main, ["templates", "copy", one.name, "--force"]).exit_code == 0
        assert one.target.read_text(encoding="utf-8") == one.text
    refused = CliRunner().invoke(main, ["templates", "copy", "github"])
    assert refused.exit_code == 2
    assert ".github/workflows/lska-variants.yml is already there: choose another name with -o" in refused.output


def test_a_recipe_comes_with_its_schema_and_keeps_one_that_is_there() -> None:
    copy = ["templates", "copy", "designs", "-o"]
    assert CliRunner().invoke(main, [*copy, "a.yaml"]).output == "Wrote a.yaml\nWrote recipe.schema.json\n"
    Path("recipe.schema.json").write_text("{}", encoding="utf-8")
    assert CliRunner().invoke(main, [*copy, "b.yaml"]).output == "Wrote b.yaml\n"
    assert Path("recipe.schema.json").read_text(encoding="utf-8") == "{}"


def test_a_template_that_does_not_exist_names_the_nearest() -> None:
    done = CliRunner().invoke(main, ["templates", "show", "githb"])
    assert done.exit_code == 2
    assert "no template 'githb' (did you mean github?): there are kernel-ablation, " in done.output


@pytest.mark.parametrize("name", [one.name for one in templates()])
def test_no_template_installs_from_an_index_that_lacks_this_package(name: str) -> None:
    for line in templates()[name].text.splitlines():
        assert not re.search(
            r"(pip install|LSKA_SURGEON:).*(?<![/-])\blska-surgeon\b(?!\.|-light @)", line.partition(" #")[0]
        )


@pytest.mark.parametrize("name", ["github", "gitlab", "pre-commit"])
def test_a_ci_file_asks_for_the_repository_of_its_user(name: str) -> None:
    done = CliRunner().invoke(main, ["templates", "copy", name])
    target = templates()[name].target.as_posix()
    told = f"name the repository that you have lska-surgeon from, where {target} says OWNER/lska-surgeon"
    assert f"Note: {told}\n" in done.output
    assert UNNAMED in templates()[name].text


def test_the_gitlab_job_stops_while_no_repository_is_named(tmp_path: Path) -> None:
    jobs = YAML(typ="safe").load(templates()["gitlab"].path)
    first = jobs["lska-variants"]["script"][0]
    done = sh(first, tmp_path, {**full_environment(), "LSKA_SURGEON": UNNAMED})
    told = "say in LSKA_SURGEON, in .gitlab-ci.yml, where lska-surgeon comes from\n"
    assert (done.returncode, done.stdout) == (2, told)
    assert sh(first, tmp_path, {**full_environment(), "LSKA_SURGEON": "git+https://example.org/lab/x"}).returncode == 0


# Used.


def act(folder: Path, light: dict[str, str], **given: str) -> tuple[int, str]:
    """Exit code and output of the action's commands, as GitHub runs them where lska-surgeon-light is installed."""
    action = YAML(typ="safe").load(ROOT / "action.yml")
    inputs = {name: given.pop(name, one["default"]) for name, one in action["inputs"].items()}
    assert not given
    printed = ""
    for step in action["runs"]["steps"]:
        name = re.fullmatch(r"inputs\.(\w+) != ''", step.get("if", ""))
        if name is None or not inputs[name[1]]:
            continue
        filled = {key: re.sub(r"\${{ inputs\.([\w-]+) }}", lambda found: inputs[found[1]], value)
                  for key, value in step["env"].items()}  # fmt: skip
        here = {**light, **filled, "FOLDER": "none", "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
        done = sh(step["run"], folder, here)
        printed += done.stdout
        if done.returncode:
            return done.returncode, printed + done.stderr
    return 0, printed


def test_the_action_checks_files_and_variants(tmp_path: Path, light: dict[str, str]) -> None:
    (tmp_path / "models").mkdir()
    right("lska-surgeon insert yolov8n.yaml --at neck -o models/yolov8n-right.yaml", tmp_path, light)
    (tmp_path / "data.yaml").write_text("train: images\n", encoding="utf-8")
    assert act(tmp_path, light)[0] == 0
    assert act(tmp_path, light, files="none/*.yaml") == (
        0,
        "::notice title=lska-surgeon::no file is named like none/*.yaml\n",
    )
    wrong = (tmp_path / "models" / "yolov8n-right.yaml").read_text(encoding="utf-8").replace("[17, 21", "[15, 21")
    (tmp_path / "models" / "yolov8n wrong.yaml").write_text(wrong, encoding="utf-8")
    code, printed = act(tmp_path, light, files="models/*.yaml", sarif="findings.sarif")
    assert code == 1
    assert "::error file=models/yolov8n wrong.yaml,line=" in printed
    assert "models/yolov8n%20wrong.yaml" in (tmp_path / "findings.sarif").read_text(encoding="utf-8")

    recipe = "base: yolov8n.yaml\nmatrix: {at: sppf, k: 7}\nbudget: {max_params: 2x}\n"
    (tmp_path / "recipe.yaml").write_text(recipe, encoding="utf-8")
    right("lska-surgeon variants recipe.yaml", tmp_path, full_environment())
    assert act(tmp_path, light, files="", recipe="recipe.yaml")[0] == 0
    code, printed = act(tmp_path, light, files="", recipe="recipe.yaml", budget="max_gflops=1.0001x")
    assert (code, "over the budget" in printed) == (1, True), printed
    code, printed = act(tmp_path, light, files="", recipe="recipe.yaml", budget="gflops=2")
    assert (code, "--budget 'gflops=2': a limit is max_gflops=X or max_params=X" in printed) == (2, True), printed


AS_LAB = {
    **full_environment(),
    **{f"GIT_{who}_{what}": "lab" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


class Repository:
    """A git repository with a recipe and the template workflow."""

    def __init__(self, folder: Path, light: dict[str, str]) -> None:
        self.folder, self.light = folder, light
        self.full = full_environment()
        git = "git init --quiet && git config user.name lab && git config user.email lab@example.org"
        right(git, folder, self.full)

    def commit(self) -> None:
        right("git add --all && git commit --quiet --message change", self.folder, self.full)

    def jobs(self) -> dict[str, Any]:
        workflow = YAML(typ="safe").load(self.folder / ".github/workflows/lska-variants.yml")
        self.variables = {name: str(value) for name, value in workflow["env"].items()}
        jobs: dict[str, Any] = workflow["jobs"]
        return jobs

    def name_the_repository(self) -> None:
        """As the user does who copied the workflow; the tests leave out its installations."""
        path = self.folder / ".github/workflows/lska-variants.yml"
        text = path.read_text(encoding="utf-8")
        assert UNNAMED in text
        path.write_text(text.replace(UNNAMED, f"git+{ROOT.as_uri()}"), encoding="utf-8")

    def run(self, job: str, environment: dict[str, str], **given: str) -> tuple[bool, str, dict[str, str]]:
        """Run a job's commands but those that install; whether it passed, what it printed, and its outputs.

        Args:
            job: its name.
            environment: what it has installed.
            given: variables whose values GitHub would work out.
        """
        steps = [step for step in self.jobs()[job]["steps"] if "run" in step and "pip install" not in step["run"]]
        assert steps
        results = self.folder.parent / "results.txt"
        results.write_text("", encoding="utf-8")
        before = right("git rev-parse HEAD~1 || true", self.folder, self.full).strip()
        variables = {**environment, **self.variables, "GITHUB_OUTPUT": str(results), "BEFORE": before}
        variables |= {"GITHUB_STEP_SUMMARY": str(self.folder.parent / "summary.md"), **given}
        printed, outputs = "", {}
        for step in steps:
            done = sh(step["run"], self.folder, variables)
            printed += done.stdout
            outputs = outputs_in(results.read_text(encoding="utf-8"))
            if done.returncode:
                return False, printed + done.stderr, outputs
        return True, printed, outputs


def outputs_in(text: str) -> dict[str, str]:
    """What steps wrote into $GITHUB_OUTPUT: `name=value`, or `name<<END`, lines, `END`."""
    found = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, several, end = line.partition("<<")
        if several:
            found[name] = "\n".join(iter(lines.__next__, end))
        else:
            name, _, found[name] = line.partition("=")
    return found


#: GitHub's own command, as far as the workflow uses it, over comments in a file.
GH = """\
import argparse, json, pathlib, subprocess, sys
parser = argparse.ArgumentParser()
for flag in ("--paginate", "--silent"):
    parser.add_argument(flag, action="store_true")
for option in ("--method", "--jq", "--field"):
    parser.add_argument(option)
parser.add_argument("api")
parser.add_argument("path")
asked = parser.parse_args()
file = pathlib.Path(__file__).with_name("comments.json")
comments = json.loads(file.read_text())
if asked.jq:
    assert asked.path == "repos/lab/nets/issues/7/comments"
    sys.stdout.write(subprocess.check_output(["jq", "-r", asked.jq], input=json.dumps(comments), text=True))
    sys.exit()
body = pathlib.Path(asked.field.partition("=@")[2]).read_text()
if asked.method == "POST":
    assert asked.path == "repos/lab/nets/issues/7/comments"
    comments.append({"id": len(comments) + 100, "body": body})
else:
    assert asked.method == "PATCH"
    (mine,) = [one for one in comments if asked.path == f"repos/lab/nets/issues/comments/{one['id']}"]
    mine["body"] = body
file.write_text(json.dumps(comments))
"""


@pytest.mark.skipif(not shutil.which("jq"), reason="the stand-in for GitHub's command needs jq")
def test_the_workflow_keeps_one_comment(tmp_path: Path) -> None:
    folder, commands = tmp_path / "lab", tmp_path / "bin"
    folder.mkdir()
    commands.mkdir()
    right("lska-surgeon templates copy github", folder, full_environment())
    (commands / "gh").write_text(f"#!{sys.executable}\n{GH}", encoding="utf-8")
    (commands / "gh").chmod(0o755)
    comments = commands / "comments.json"
    comments.write_text(json.dumps([{"id": 1, "body": "nice <!-- lska-surgeon: recipe.yaml -->"}]), encoding="utf-8")
    right("git init --quiet && git commit --quiet --allow-empty --message x", folder, AS_LAB)
    lab = Repository(folder, {})
    path = f"{commands}:{full_environment()['PATH']}"
    for result, costs in (("success", "| a | 1 |\n| b | 2 |"), ("failure", "| a | $(3) `4` |")):
        given = {"GITHUB_REPOSITORY": "lab/nets", "PULL_REQUEST": "7", "RESULT": result, "COSTS": costs, "PATH": path}
        passed, printed, _ = lab.run("comment", full_environment(), **given)
        assert passed, printed
        other, mine = json.loads(comments.read_text(encoding="utf-8"))
        assert other["id"] == 1
        assert other["body"].startswith("nice")
        head = f"<!-- lska-surgeon: recipe.yaml -->\n**LSKA variants of `recipe.yaml`** (check: {result})\n\n"
        assert mine == {"id": 101, "body": f"{head}{costs}\n"}


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_a_ci_file_has_one_trigger_bounded_jobs_and_a_torch_without_gpus(name: str) -> None:
    text = templates()[name].text
    found = YAML(typ="safe").load(text)
    if name == "github":
        assert found["on"] == "pull_request"
        assert found["permissions"] == {"contents": "read"}
        jobs = found["jobs"]
        writing = {job: steps["permissions"] for job, steps in jobs.items() if "permissions" in steps}
        assert writing == {"comment": {"pull-requests": "write"}}
        assert all(0 < job["timeout-minutes"] <= 60 for job in jobs.values())
    else:
        assert found["workflow"]["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}]
        jobs = {key: job for key, job in found.items() if key.startswith("lska-")}
        assert all(job["timeout"] for job in jobs.values())
    cpu, package = text.index("/whl/cpu"), text.index('pip install "$LSKA_SURGEON"')
    assert text.rindex("pip install torch torchvision --index-url", 0, cpu) < cpu < package


def test_the_workflow_guards_a_repository(tmp_path: Path, light: dict[str, str]) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    lab = Repository(folder, light)
    assert sh("python -c 'import torch'", folder, light).returncode == 1

    # A lab starts: recipe and workflow from the templates, variants written where torch is, everything committed.
    right("lska-surgeon templates copy recommended -o recipe.yaml && lska-surgeon templates copy github", folder, light)
    recipe = folder / "recipe.yaml"
    text = recipe.read_text(encoding="utf-8")
    right("lska-surgeon variants recipe.yaml", folder, lab.full)
    lab.commit()
    passed, printed, _ = lab.run("light", light)
    assert not passed
    assert printed == "::error::say in LSKA_SURGEON, in this workflow, where lska-surgeon comes from\n"
    lab.name_the_repository()
    lab.commit()
    passed, printed, _ = lab.run("light", light)
    assert passed, printed
    assert printed == (
        "::notice file=recipe.yaml,line=1,title=lska-surgeon variants%3A passed::"
        "recipe.yaml: 4 variants, all up to date\n"
    )
    (folder / "README").write_text("x", encoding="utf-8")
    lab.commit()
    assert lab.run("light", light)[2]["changed"] == "false"

    # Somebody edits the recipe and forgets the variants.
    recipe.write_text(text.replace("k: 11", "k: [11, 35]"), encoding="utf-8")
    lab.commit()
    passed, printed, _ = lab.run("light", light)
    assert not passed
    missing = "variants/yolov8n-lska-neck-k35.yaml: is missing"
    assert f"::error file=recipe.yaml,line=1,title=lska-surgeon variants%3A missing::{missing}" in printed

    # Regenerated, even where there is no torch: the base is counted already.
    right("lska-surgeon variants recipe.yaml", folder, light)
    right("git add --all && git commit --quiet --amend --no-edit", folder, lab.full)
    passed, printed, outputs = lab.run("light", light)
    assert passed, printed
    assert outputs["changed"] == "true"
    assert "| variants/yolov8n-lska-neck-k35.yaml | lska k35 at neck | " in outputs["costs"]
    passed, printed, _ = lab.run("full", lab.full)
    assert passed, printed
    assert "| variants/yolov8n-lska-neck-k35.yaml |" in (tmp_path / "summary.md").read_text(encoding="utf-8")

    # A budget that is exceeded fails the job.
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("1.15x", "1.001x"), encoding="utf-8")
    passed, printed, _ = lab.run("light", light)
    assert not passed
    assert "%3A over budget::variants/yolov8n-lska-neck-k35.yaml: " in printed
    assert ", 1.001x of the base\n" in printed


def test_hooks_run_in_a_repository(tmp_path: Path) -> None:
    if not (ROOT / ".pre-commit-hooks.yaml").is_file():
        pytest.skip("the hooks lie in the checkout")
    hooks = {hook["id"]: hook for hook in YAML(typ="safe").load(ROOT / ".pre-commit-hooks.yaml")}
    assert all(hook["language"] == "python" for hook in hooks.values())  # each makes an environment of its own
    here = [{**hook, "language": "system"} for hook in hooks.values()]  # which takes an index
    local = {"repos": [{"repo": "local", "hooks": here}]}
    environment = {**full_environment(), "PRE_COMMIT_HOME": str(tmp_path / "home")}
    folder = tmp_path / "lab"
    folder.mkdir()
    lab = Repository(folder, environment)
    YAML().dump(local, folder / ".pre-commit-config.yaml")
    (folder / "recipe.yaml").write_text("base: yolov8n.yaml\nmatrix: {at: sppf, k: 7}\n", encoding="utf-8")
    (folder / "compose.yaml").write_text("services: {}\n", encoding="utf-8")
    right("lska-surgeon variants recipe.yaml", folder, environment)
    right("git add --all && pre-commit run --all-files", folder, environment)
    variant = folder / "variants" / "yolov8n-lska-sppf-k7.yaml"
    text = variant.read_text(encoding="utf-8")
    variant.write_text(text.replace("[[-1, 6], 1, Concat, [1]]", "[[-1, 5], 1, Concat, [1]]"), encoding="utf-8")
    assert variant.read_text(encoding="utf-8") != text
    done = sh("git add --all && pre-commit run --all-files", folder, lab.full | environment)
    assert done.returncode == 1
    assert re.search(r"^lska-surgeon check\.+Failed$", done.stdout, re.MULTILINE)
    assert "variants/yolov8n-lska-sppf-k7.yaml was edited by hand" in done.stdout
