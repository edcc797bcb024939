-- Functions that give their items page by page.

-- How many children a job has brought about so far: those of its pages, and of its end. Where a function goes on after
-- its last page; only a function that says so has one. And under which claim the hidden children of a job were written
-- that are being accepted: its function is done, and is not run again.
alter table workflow_job add column emitted int not null default 0 check (emitted >= 0);
alter table workflow_job add column cursor jsonb;
alter table workflow_job add column accepted uuid;

-- Pages of children that are hidden: of a function that cannot go on after a kill, until all of it is there. They count
-- nowhere and nobody sees them. Those of an attempt that died are removed, page by page. `first_item` is the place of the
-- first among the items. They lie beside workflow_job for the reason that jobs that wait do.
create table workflow_hidden_page (
  parent_id uuid not null,
  claim uuid not null,
  first_item int not null check (first_item >= 0),
  job_ids uuid[] not null,
  primary key (parent_id, claim, first_item)
);
