from . import server as server
from .pictures import draw as draw
from .scene import Controls as Controls, compute as compute
from .words import link as link
