"""What others can read of the bus: AsyncAPI for developers, DCAT-AP for portals, a page for everybody."""

from lienthong.catalogue.asyncapi import asyncapi
from lienthong.catalogue.catalogue import Brokers, Catalogue, read_catalogue
from lienthong.catalogue.dcat import dcat
from lienthong.catalogue.page import page

__all__ = ["Brokers", "Catalogue", "asyncapi", "dcat", "page", "read_catalogue"]
