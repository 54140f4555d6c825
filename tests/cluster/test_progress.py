from rich.table import Table

from cluster.progress import console, results


def test_names_of_others_are_no_markup_and_no_pictures(capsys):
    """As a table of SQLite in the place of a row, or a folder in a title."""
    table = Table("memory.db:notes:1", title="folder [b]")
    table.add_row("[red]")
    results().print(table)
    console.print("memory.db:notes:1", markup=False)
    said = capsys.readouterr()
    assert all(name in said.out for name in ("memory.db:notes:1", "folder [b]", "[red]"))
    assert said.err == "memory.db:notes:1\n"
