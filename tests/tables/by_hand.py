"""A table written down by hand, with all that a format must cope with."""

from metarec.tables.table import Cell, Column, Row, Table

TABLE = Table(
    title="small",
    caption="50 % of <users> & _items_.",
    columns=[
        Column("mae"),
        Column("printed mae", empty=""),
        Column("p (mae)"),
        Column("fit s"),
        Column("gain in rmse", shown=False),
    ],
    rows=[
        Row(
            "chance",
            True,
            {
                "mae": Cell(1.25, 1.2, 1.3004, tasks=50, seeds=2),
                "printed mae": Cell(),
                "p (mae)": Cell(0.0002),
                "fit s": Cell(0.0, digits=0, seeds=2),
                "gain in rmse": Cell(-0.0001, -0.5, 0.5, tasks=49, missing=1, seeds=2),
            },
        ),
        Row(
            "a|b_c",
            False,
            {
                "mae": Cell(0.5, -0.0001, 0.75, bold=True, tasks=50, seeds=2),
                "printed mae": Cell(0.74, digits=2),
                "p (mae)": Cell(),
                "fit s": Cell(1234.5, digits=0, seeds=2),
                "gain in rmse": Cell(),
            },
        ),
    ],
    foot="Runs of commit abc; cost: 5 % & more.",
    warnings=["Not as the experiment file says now: a_b."],
)
