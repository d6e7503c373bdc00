"""A renderer over a world with all links, for the forms that need a bridge."""

import copy

import pytest

from coemerge.prompts.render import Renderer
from coemerge.prompts.templates import TemplateBook
from coemerge.worlds.facts import Fact, World

LINKED = ["birthplace", "located_in", "occupation", "field", "capital", "capital_of"]


@pytest.fixture(scope="session")
def linked_world(smoke_spec) -> World:
    config = copy.deepcopy(smoke_spec.world)
    config.use = LINKED
    return config.build()


@pytest.fixture(scope="session")
def book(linked_world, smoke_spec) -> TemplateBook:
    return smoke_spec.prompts.book(linked_world, ["drill"])


@pytest.fixture(scope="session")
def renderer(linked_world, book, smoke_spec) -> Renderer:
    return Renderer(linked_world, book, smoke_spec.prompts.frames())


@pytest.fixture(scope="session")
def birth(linked_world) -> Fact:
    return linked_world.facts[linked_world.positions["birthplace"][0]]
