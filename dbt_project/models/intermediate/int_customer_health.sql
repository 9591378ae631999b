with orders as (
    select
        customer_id,
        count(*) as orders_count,
        sum(amount) as lifetime_value,
        max(ordered_on) as last_order_date
    from {{ ref('stg_orders') }}
    where status = 'completed'
    group by customer_id
),

activity as (
    select
        customers.customer_id,
        cast(customers.signed_up_at as date) as signed_up_on,
        cast(coalesce(orders.orders_count, 0) as integer) as orders_count,
        cast(coalesce(orders.lifetime_value, 0) as decimal(16, 2)) as lifetime_value,
        orders.last_order_date,
        greatest(cast(customers.signed_up_at as date), orders.last_order_date) as last_active_on,
        case customers.plan when 'free' then 15 when 'starter' then 5 when 'growth' then 0 else -10 end as plan_risk
    from {{ ref('stg_customers') }} as customers
    left join orders using (customer_id)
),

risk as (
    select
        *,
        date_diff('day', last_active_on, {{ today() }}) as days_inactive,
        least(98, greatest(2, date_diff('day', last_active_on, {{ today() }}) * 100 // 240 + plan_risk)) as risk_percent
    from activity
),

segmented as (
    select
        *,
        case
            when lifetime_value >= 500 and risk_percent >= 60 then 'high_value_at_risk'
            when lifetime_value >= 500 and risk_percent < 30 then 'champion'
            when signed_up_on > {{ today() }} - 30 then 'new'
            when days_inactive > 180 then 'dormant'
            else 'regular'
        end as segment
    from risk
)

select
    customer_id,
    orders_count,
    lifetime_value,
    last_order_date,
    cast(risk_percent / 100 as double) as churn_risk,
    segment,
    case segment
        when 'high_value_at_risk' then 'Spent 500 or more, churn risk 0.60 or more'
        when 'champion' then 'Spent 500 or more, churn risk below 0.30'
        when 'new' then 'Signed up in the last 30 days'
        when 'dormant' then 'No sign-up or order in the last 180 days'
        else 'None of the other segments applies'
    end as reason,
    case segment
        -- the day on which the inactive days alone lift the risk to 60 percent
        when 'high_value_at_risk' then last_active_on + cast(((60 - plan_risk) * 240 + 99) // 100 as integer)
        when 'champion' then last_order_date
        when 'new' then signed_up_on
        when 'dormant' then last_active_on + 181
        else greatest(signed_up_on + 30, last_active_on)
    end as since
from segmented
