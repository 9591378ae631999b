select id as customer_id, first_name, last_name, lower(first_name || '.' || last_name) || '@example.com' as email
from {{ ref('raw_customers') }}
