"""pgspot, but for what its parsers can't read. Without this it would stop at such a function, and say nothing of what
comes after it:
  * a body in standard SQL (BEGIN ATOMIC, RETURN): its names are bound when the function is made, so nothing is left to find;
  * a PL/pgSQL body that assigns to a field of a variable of a table's row type: unknown without that table. The function
    is named, its settings are checked, its body is not.
"""

from pgspot import cli, visitors
from pgspot.formatters import format_function

visit_function = visitors.SQLVisitor.visit_CreateFunctionStmt
visit_plpgsql = visitors.visit_plpgsql


def visit_function_with_text(self, ancestors, node):
    if node.sql_body is None:
        visit_function(self, ancestors, node)


def visit_plpgsql_if_readable(state, node):
    try:
        visit_plpgsql(state, node)
    except visitors.ParseError as error:
        name = format_function(node).split("(")[0] if hasattr(node, "funcname") else "a DO block"
        print(f"pgspot: body of {name} not read: {error}")


visitors.SQLVisitor.visit_CreateFunctionStmt = visit_function_with_text
visitors.visit_plpgsql = visit_plpgsql_if_readable
cli.run()
