"""Are the components that a fact needs the same in every task format? (methods 3.5, 3.6, 3.8)"""
