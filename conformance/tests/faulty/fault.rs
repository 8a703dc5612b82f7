//! The faults, each with the cases that should find it.

macro_rules! faults {
    ($($fault:ident [$($case:literal)*] $meaning:literal;)*) => {
        /// What is wrong with a server.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) enum Fault {
            #[doc = "Nothing."]
            None,
            $(#[doc = $meaning] $fault,)*
        }

        impl Fault {
            pub(crate) const ALL: &[(Self, &[&str])] = &[$((Self::$fault, &[$($case),*]),)*];
        }
    };
}

faults! {
    GreetsFirst ["seg-no-greeting"] "It says something before it is asked.";
    TakesSegmentsForRequests ["seg-header-then-payload" "seg-cut-header"] "It takes a segment for a request.";
    DropsWhatIsPipelined ["seg-two-in-one" "seg-pipelined-many"] "It forgets what came behind a request.";
    LeavesWhoHasEnded ["seg-half-close"] "It does not answer who has closed the sending side.";
    KeepsHalfContents ["seg-half-a-content"] "It stores a message whose content was cut.";
    KnowsNoZeros ["seg-late-zeros" "seg-zeros-between"] "It takes zeros between requests for one.";
    WritesInPieces ["seg-one-write"] "It writes an answer in two pieces.";
    TakesAnySize ["lim-content-above-the-wire" "prec-limit-before-asker"] "It waits for a content of any size.";
    LosesManyMessages ["lim-many-messages"] "It keeps a hundred messages, and says nothing of those beyond.";
    ClosesWithoutRefusal ["ver-unknown-codes" "ver-http"] "It closes without a refusal.";
    StaysOpenOnGarbage ["ver-http"] "It does not close on what is no request.";
    AnswersVersionOne ["ver-answers"] "Its answers have another version.";
    DeletesAnybody ["ver-delete-of-another-profile"] "It deletes clients that did not ask for it.";
    ListsTheAsker ["op-list-others"] "Its list has the asker in it.";
    LeavesGarbageInNames ["op-list-names"] "Names are not filled up with zeros.";
    CountsIds ["op-register-ids"] "Its ids are a counter.";
    RepeatsHalves ["op-register-distinct"] "Its ids have one first half.";
    WantsRealKeys ["op-register-any-key"] "It looks into keys.";
    WantsToKnowWhoAsks ["op-key-any-asker"] "It gives keys to clients alone.";
    RefusesNotesToSelf ["op-send-to-oneself"] "It refuses a message to oneself.";
    RefusesEmptyPulls ["op-pull-nothing"] "It refuses a pull when nothing waits.";
    GivesEverybodysMail ["op-pull-own-only"] "A pull has everybody's messages.";
    NewestFirst ["op-pull-order"] "A pull has the newest message first.";
    RepeatsNumbers ["op-send-receipts" "blind-same-content"] "All messages have one number.";
    NumbersPullsAnew ["op-send-receipts"] "A pull numbers messages otherwise than their receipts.";
    ForgetsSenders ["op-send-each-type"] "Messages have no sender.";
    ForgetsTypes ["op-send-each-type"] "All messages are texts.";
    TakesAnyName ["field-name-empty" "field-name-control" "field-name-not-ascii"] "It takes any bytes for a name.";
    TakesNamesTwice ["field-name-taken" "conc-one-name"] "It takes a name that is taken.";
    IgnoresCase ["field-name-case"] "Upper and lower case are the same to it.";
    TakesAnyType ["field-send-type"] "It takes messages of any type.";
    TakesMailForAnybody ["field-send-to-unknown"] "It takes messages for nobody.";
    TakesMailFromAnybody ["field-send-asker"] "It takes messages from nobody.";
    BelievesSizes ["field-size-of-key-request-zero" "field-size-of-send-three-more" "field-size-of-empty-send"]
        "It knows no deviations.";
    RefusesBeforeContents ["prec-content-before-refusal"] "It refuses a send before its content has come.";
    ClosesAfterAnswers ["state-one-connection" "state-pause"] "It closes after each answer.";
    ClosesAfterRefusals ["survive-each-refusal"] "It closes after each refusal.";
    SaysWhy ["survive-refusal-is-empty"] "Its refusals have a text.";
    SaysMore ["op-register" "state-one-connection"] "It says a byte more than its answer has.";
    BreaksAfterRefusal ["survive-refusal-arrives" "lim-garbage-flood"] "It closes with bytes unread.";
    DeletesAtOnce ["deliver-reset" "deliver-reset-unread"] "It deletes what it has written.";
    NeverDeletes ["deliver-clean-close"] "It deletes nothing.";
    NeedsACloseToDelete ["state-pull-twice" "deliver-next-request"] "It does not take a request for proof.";
    TakesZerosForProof ["deliver-reset-behind-zeros"] "It takes zeros for proof that a pull has arrived.";
    WaitsForNobody ["deliver-silence" "conc-pulls"] "A pull does not wait for the verdict on another.";
    WaitsForEver ["deliver-wait-is-bounded"] "A pull waits for the verdict on another without an end.";
    ChecksNamesTooEarly ["conc-one-name"] "Between the look for a name and its registration is time.";
    StripsZeros ["blind-content"] "It takes contents for strings.";
    DropsRepeatedContents ["blind-same-content"] "It takes two messages of one content for one.";
}
