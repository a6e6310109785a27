-- One step of make_unique.sql, and then the next.

select adopt.next_step() as step, :tries_left > 0 as is_allowed, :tries_left - 1 as tries_left \gset
\if :{?step}
    \if :is_allowed
        \echo :step
        \set ON_ERROR_STOP off
        :step;
        select :'SQLSTATE' in ('00000', '23505', '55P03') as is_expected \gset
        \set ON_ERROR_STOP on
        \if :is_expected
            -- done; or a duplicate came in, or somebody was writing for long, and the next step deals with that
            \ir next_step.sql
        \else
            do $$ begin raise exception 'This step cannot be done; mend what it says, then begin again.'; end $$;
        \endif
    \else
        do $$ begin raise exception 'Not done after 50 steps; begin again, perhaps when less is written.'; end $$;
    \endif
\else
    \echo Every target is unique.
\endif
