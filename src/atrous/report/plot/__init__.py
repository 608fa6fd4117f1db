"""Pictures by matplotlib, one file per picture; `atrous.plot` names them."""
