"""What others can read of the bus: AsyncAPI for developers, DCAT-AP for portals, a page for everybody."""

from lienthong.catalogue.asyncapi import asyncapi
from lienthong.catalogue.catalogue import Brokers, Catalogue, read_catalogue


__all__ = ["Brokers", "Catalogue", "asyncapi", "read_catalogue"]
