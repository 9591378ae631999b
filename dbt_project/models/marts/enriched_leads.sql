with views as (
    select lead_id, cast(sum(views) as integer) as page_views
    from {{ ref('stg_page_views') }}
    where viewed_on >= {{ today() }} - 30
    group by lead_id
),

trials as (
    -- two customers may share an address: the trial that ends last is the one to win
    select lower(email) as email, max(trial_ends_on) as trial_ends_on
    from {{ ref('stg_customers') }}
    where email is not null
    group by lower(email)
),

signals as (
    select
        leads.lead_id,
        leads.email,
        leads.first_name,
        leads.last_name,
        leads.company,
        leads.source,
        coalesce(views.page_views, 0) as page_views,
        cast(date_diff('day', {{ today() }}, trials.trial_ends_on) as integer) as trial_days_left
    from {{ ref('stg_leads') }} as leads
    left join views on views.lead_id = leads.lead_id
    left join trials on trials.email = lower(leads.email)
),

scored as (
    select
        *,
        least(60, 4 * page_views)
        + case
            when trial_days_left is null then 0
            when trial_days_left < 0 then 10
            when trial_days_left <= 3 then 40
            when trial_days_left <= 7 then 30
            else 20
        end as lead_score
    from signals
)

select
    lead_id,
    email,
    first_name,
    last_name,
    company,
    source,
    page_views,
    trial_days_left,
    cast(lead_score as integer) as lead_score,
    case when lead_score >= 70 then 'hot' when lead_score >= 40 then 'warm' else 'cold' end as lead_grade,
    {{ today() }} as scored_at
from scored
