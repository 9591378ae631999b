select
    order_id,
    customer_id,
    amount,
    ordered_at,
    cast(ordered_at as date) as ordered_on,
    status
from {{ source('raw', 'orders') }}
