-- Which of some time zones, with commas between, the server does not know: a host whose tz database lacks the former names,
-- for instance. Null when it knows them all.
-- Forward-only. Runs inside one transaction.

create function unknown_zones(zones text) returns text
language plpgsql stable
as $$
declare
    zone text;
    unknown text[] := '{}';
begin
    foreach zone in array string_to_array(zones, ',') loop
        begin
            perform now() at time zone zone;
        exception when invalid_parameter_value then
            unknown := unknown || zone;
        end;
    end loop;
    return nullif(array_to_string(unknown, ', '), '');
end
$$;
