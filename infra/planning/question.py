"""What an audit asks, and the three answers to it. Pure."""

from typing import NamedTuple

from infra.model.audit import Finding, Grade


class Question(NamedTuple):
    """About one item; `proof` is what is asked."""

    item: str
    proof: str

    def in_order(self, state: str) -> Finding:
        return self._answer(Grade.IN_ORDER, state, "")

    def to_do(self, state: str, todo: str) -> Finding:
        return self._answer(Grade.TO_DO, state, todo)

    def not_asked(self, state: str, todo: str) -> Finding:
        return self._answer(Grade.NOT_ASKED, state, todo)

    def _answer(self, grade: Grade, state: str, todo: str) -> Finding:
        return Finding(item=self.item, grade=grade, state=state, proof=self.proof, todo=todo)
