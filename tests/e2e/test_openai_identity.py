"""The endpoint in a mesh with identity: it asks as the person who runs it, with that person's rights."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from nova_proto.identity import folder
from openai import APIStatusError, AsyncOpenAI
from support.fake_provider import FakeProvider, Say
from support.mesh import met, run, wait_for
from support.secure import SecureMesh

ADDRESS = re.compile(r"the models of this mesh: (http://\S+)")


@pytest.mark.parametrize("role", ["submitter", "observer"])
def test_it_has_the_rights_of_whoever_runs_it(tmp_path: Path, role: str) -> None:
    with FakeProvider(("fake",)) as provider, SecureMesh(tmp_path) as mesh:
        provider.otherwise = lambda request: Say("This is what a model says.")
        plain = ("--no-mdns", "--slots", "1", "--set", "models.discover=no")
        mesh.admit("front")
        ada = mesh.credentials(role, "ada")
        folder.save(tmp_path / "identity" / mesh.name, ada)
        front = mesh.start("front", *plain, "--openai", "127.0.0.1:0")
        model = f"fake,url={provider.url},price_in=1,price_out=2"
        mesh.start("back", *plain, "--peer", front.address, "--model", model)

        async def scene() -> None:
            async with front.client(identity=ada) as client:
                await met(client, 2)
            url = wait_for(lambda: ADDRESS.search(front.said()), "the endpoint's address")[1]
            async with AsyncOpenAI(base_url=url, api_key="any", max_retries=0, timeout=60) as asks:
                answer = await asks.chat.completions.create(
                    model="fake", messages=[{"role": "user", "content": "hello"}]
                )
            assert answer.choices[0].message.content == "This is what a model says."

        if role == "submitter":
            run(scene())
            return
        with pytest.raises(APIStatusError) as caught:
            run(scene())
        assert caught.value.status_code == 403
        assert not provider.asked
