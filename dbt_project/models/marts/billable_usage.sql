select
    account_id,
    product,
    day,
    'cus_' || account_id as stripe_customer_id, -- the product keeps it with the account, from the first payment on
    cast(events as bigint) as events
from {{ ref('stg_product_events') }}
where day >= {{ today() }} - 7 and day < {{ today() }}
