"""A program that sees through Chiasm, by the Model Context Protocol: pip install "chiasm[mcp,rag]".

python mcp_client.py holiday/ beach.jpg "How many people are there?"
python mcp_client.py holiday/ beach.jpg "How many people are there?" my.lance "a red bicycle"
"""

import asyncio
import os
import sys
from typing import Any

from mcp import Client, StdioServerParameters


async def main(folder: str, picture: str, question: str, *search: str) -> None:
    command = ["-m", "chiasm", "mcp", "--folder", folder]
    if search:
        command += ["--db", search[0]]
    # A server gets few of the variables around it unless it is given them.
    server = StdioServerParameters(command=sys.executable, args=command, env=dict(os.environ))
    async with Client(server) as client:

        async def call(tool: str, **arguments: str) -> Any:
            done = await client.call_tool(tool, arguments)
            if done.is_error:
                sys.exit(done.content[0].text)
            return done.structured_content["result"]

        print("tools:", ", ".join(tool.name for tool in (await client.list_tools()).tools))
        print("caption:", await call("caption", picture=picture))
        print("answer:", await call("ask", picture=picture, question=question))
        if search:
            for hit in await call("search", query=search[1]):
                print(f"found: {hit['file']} {hit['place']}")


asyncio.run(main(*sys.argv[1:]))
