select
    lead_id,
    email,
    split_part(name, ' ', 1) as first_name,
    nullif(substr(name, length(split_part(name, ' ', 1)) + 2), '') as last_name,
    company,
    source,
    created_at
from {{ source('raw', 'leads') }}
