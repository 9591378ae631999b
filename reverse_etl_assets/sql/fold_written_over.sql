-- Fields of settled rows that were looked at again: whatever the destination had won before is decided anew.
delete from state.kept using state.outbox as outbox, answers
where
    answers.number = outbox.rowid
    and kept.key = outbox.key
    and ({{ settled }})
    and (
        outbox.operation = 'delete' or outbox.sent_fields is null or list_contains(outbox.sent_fields, kept.field)
    )
