-- What an ORM does to create a version, one statement at a time, with the lock that orders the callers of a chain. Each
-- chain has a version before the first transaction. :document is as large as the content that the service is sent.
\set student random(1, :students)
begin;
select pg_advisory_xact_lock(hashtextextended('floor-' || :student, 0));
select id as parent, version as head
  from ieps where student_id = :student and academic_year = '2025-2026'
  order by version desc limit 1 \gset
\set next :head + 1
insert into ieps (id, student_id, academic_year, version, parent_version_id, content, create_time)
  values (gen_random_uuid(), :student, '2025-2026', :next, :parent, :document, clock_timestamp());
commit;
