"""What the department does when others speak: it keeps today's units, and what they were before."""

from services.trade import trade

trade.keeps("science.unit.v1", purpose="reference")
