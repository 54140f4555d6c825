"""README and docs: tables are whole, links lead somewhere, and what they name of the repository is there."""

import ast
import importlib
import re
from pathlib import Path

import pytest
import typer

from cluster.cli.main import app
from nbmf import protocol

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
OF_OTHER_PROGRAMS = {"--metrics-export-port", "--working-dir"}  # of `ray start`, of `ray job submit`


@pytest.fixture(params=PAGES, ids=lambda path: path.name)
def page(request):
    return request.param


def prose(page):
    """A page's text without blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def inline_code(page):
    return [re.sub(r"\s+", " ", code) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose(page))]


def blocks(page, language):
    return [code for _, kind, code in FENCE.findall(page.read_text(encoding="utf-8")) if kind == language]


def slugs(page):
    """Anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# --- tables -------------------------------------------------------------------------------------------------------


def cells(line):
    return len(re.findall(r"(?<!\\)\|", line)) - 1


def test_tables_are_whole(page):
    """Each run of lines with bars begins with a head and a rule: a blank line in a table would end it."""
    tables = re.findall(r"(?:^ *\|.*\n?)+", prose(page), re.MULTILINE)
    for table in tables:
        head, *rest = table.strip().splitlines()
        assert rest, f"a table of one line: {head}"
        assert re.fullmatch(r"\|(?: ?:?-+:? ?\|)+", rest[0].strip()), f"no rule below the head of: {head}"
        for row in rest:
            assert cells(row) == cells(head), f"{cells(head)} cells in the head, not in: {row}"


def test_a_broken_table_is_found(tmp_path):
    broken = tmp_path / "page.md"
    for text in ("| a |\n|---|\n\n| b |\n", "| a | b |\n|---|---|\n| c |\n"):
        broken.write_text(text)
        with pytest.raises(AssertionError):
            test_tables_are_whole(broken)


# --- links and names ----------------------------------------------------------------------------------------------


def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    for link in links:
        if re.match(r"https?://", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in slugs(target), link


def test_files_that_are_named_are_there(page):
    for code in inline_code(page):
        for name in re.findall(r"(?<![\w./<>-])(?:[\w-]+/)+(?:[\w-]+\.(?:py|yaml|md|proto))?(?![\w<*{$])", code):
            first = name.split("/")[0]
            if name.endswith(".py") or (ROOT / first).is_dir():
                assert (ROOT / name).exists(), code


def test_modules_that_are_imported_are_there(page):
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("nbmf", "cluster", "serve_app"):
                module = importlib.import_module(node.module)
                for name in node.names:
                    assert hasattr(module, name.name) or importlib.import_module(f"{node.module}.{name.name}")


# --- commands and their options -----------------------------------------------------------------------------------

COMMANDS = typer.main.get_command(app)


def every_command(command=COMMANDS):
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from every_command(inner)


def options_of(command):
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


EVERY_OPTION = set().union(*map(options_of, every_command())) | OF_OTHER_PROGRAMS


def check_command(line):
    """`nbmf …`, as far as it goes: subcommands by their names, and options that they have."""
    command = COMMANDS
    for word in re.split(r"\s+", line.strip())[1:]:
        if word in ("|", ">", "&&", "--", "#"):
            return
        word = word.rstrip(",;:.)…")
        inner = getattr(command, "commands", {})
        if word not in inner and getattr(command, "default", None):
            command, inner = inner[command.default], {}
        if inner and not word.startswith("-"):
            if not re.fullmatch(r"[a-z-]+", word):
                return  # a placeholder
            assert word in inner, f"{command.name} has no command {word}: {line}"
            command = inner[word]
        elif re.fullmatch(r"--?[a-z][a-z-]*", word):
            assert word in options_of(command), f"{command.name} has no option {word}: {line}"


def test_commands_are_there(page):
    lines = [code for code in inline_code(page) if code.startswith("nbmf ")]
    for block in blocks(page, "console"):
        lines += re.findall(r"^\$ (nbmf .*)$", block.replace("\\\n", " "), re.MULTILINE)
    for line in lines:
        check_command(line)


def test_options_are_there(page):
    for code in inline_code(page):
        if code.startswith("--"):
            assert re.match(r"--[a-z-]+", code)[0] in EVERY_OPTION, code


@pytest.mark.parametrize("line", ["nbmf nothing", "nbmf bench nothing", "nbmf serve --nothing", "nbmf train -x y"])
def test_a_command_that_is_not_there_is_found(line):
    with pytest.raises(AssertionError):
        check_command(line)


# --- tables that repeat what the code says ------------------------------------------------------------------------


def test_every_code_of_the_service_is_explained():
    section = (ROOT / "docs/operations.md").read_text(encoding="utf-8").partition("\n### Errors\n")[2]
    rows = re.findall(r"^\| (\d{3}).*$", section, re.MULTILINE)
    for code, status in protocol.STATUS_OF_CODE.items():
        named = re.search(rf"^\| {status}.*`{code}`.*$", section, re.MULTILINE)
        assert named, f"{status} {code}"
    assert set(map(int, rows)) >= set(protocol.STATUS_OF_CODE.values())
