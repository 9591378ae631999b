select
    view_id,
    lead_id,
    customer_id,
    page,
    viewed_on,
    views
from {{ source('raw', 'page_views') }}
