-- Attempts whose worker was gone before it wrote how they ended: `lost`. The message comes again then under the same
-- `seq`, so these have a row beside the one of how the job's attempt ended in the end; `times` counts them.
alter table workflow_attempt
  add column lost boolean not null default false,
  drop constraint workflow_attempt_outcome_check,
  add constraint workflow_attempt_outcome_check
    check (outcome in ('retried', 'snoozed', 'failed', 'cancelled', 'lost')),
  add constraint workflow_attempt_lost_check check (lost = (outcome = 'lost')),
  drop constraint workflow_attempt_pkey,
  add primary key (job_id, seq, lost);
