"""Prints the translations of a rule's cases:  python tests/show_proof.py NAME [fluent]"""

from __future__ import annotations

import sys

from proving import fact, keras_cases, torch_cases, translate, used_inputs, write_script

if __name__ == "__main__":
    fidelity = sys.argv[2] if len(sys.argv) > 2 else "exact"
    for case in [*torch_cases(), *keras_cases()]:
        if sys.argv[1] not in case.id:
            continue
        facts = {n: fact(a, case.source) for n, a in used_inputs(case).items()}
        source = write_script(case)
        conversion = translate(source, case.target, facts, fidelity)
        print(f"# ---- {case.id}: {case.code}\n{conversion.code}")
        for finding in conversion.findings:
            print(f"#  {finding.grade}: {finding.message}")
