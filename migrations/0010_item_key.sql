-- What tells the items of a job apart, of a function that may be given one twice by its source: the keys of those that it
-- has given, 16 bytes of a digest each. Only a key that is not there brings an item on. They are forgotten when the job is
-- over. docs/decisions/0029 has the argument.
create table workflow_item_key (
  parent_id uuid not null,
  key uuid not null,
  primary key (parent_id, key)
);
