import { Migration } from '@mikro-orm/migrations';

/**
 * A save changes no indexed column. With room for the new row in the page of the old one, no index is written for it, and the
 * old one's place is used again, https://www.postgresql.org/docs/15/storage-hot.html Pages that are full already stay as
 * they are.
 */
export class RoomForSaves extends Migration {
  override up(): void {
    this.addSql('alter table ieps set (fillfactor = 70)');
  }
}
