-- Synced rows to compare with their records. Rows that the last run did not settle are not known well enough, and of
-- several that share a record only one can be what it holds.
create temp table synced_sample as
select _retl_key as key, _retl_id as destination_id, _retl_run as run_id, _retl_untold as untold, {{ fields }} as fields
from (
    select * from state.synced
    where _retl_key not in (select key from state.pending where key is not null)
    {%- if shared %}
    and _retl_key not in ({{ shared }})
    {%- endif %}
    {%- if limit is not none %}
    order by random()
    limit {{ limit }}
    {%- endif %}
) as synced
