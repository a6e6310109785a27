/** The reader of an SMS, whoever that is; of what is reported for it a failure counts most: one segment lost is a message lost. */
export const SMS_READER = "sms";
