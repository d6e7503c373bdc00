"""Study: is a fact one thing, asked and edited from its entity side and its relation side? (P2)"""
